"""The state machines of `shared.states` as Markdown: a Mermaid diagram and a table for each."""

from collections import defaultdict
from collections.abc import Iterator

from shared.states import MACHINES, Machine

_EDGES_BEFORE_GROUPING = 8


def markdown() -> str:
    """Return a section for each machine."""
    return "\n".join(line for machine in MACHINES for line in _section(machine))


def _section(machine: Machine) -> Iterator[str]:
    yield f"### {machine.name.capitalize()}"
    yield ""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield from (f"    {line}" for line in _edges(machine))
    yield "```"
    yield ""
    yield "| state | meaning | final |"
    yield "|---|---|---|"
    for state, meaning in machine.states.items():
        yield f"| `{state}` | {meaning} | {'yes' if state in machine.final else ''} |"
    yield ""


def _edges(machine: Machine) -> Iterator[str]:
    for state in machine.initial:
        yield f"[*] --> {state}"
    groups = defaultdict(list)
    for transition in machine.transitions:
        groups[transition.sources].append(transition)
    events = defaultdict(list)
    for number, (sources, transitions) in enumerate(groups.items()):
        if len(sources) * len(transitions) > _EDGES_BEFORE_GROUPING:
            # One node between all sources and all targets, instead of an edge for each pair.
            node = f"any{number}"
            yield f"state {node} <<choice>>"
            yield from (f"{source} --> {node}" for source in sources)
            yield from (f"{node} --> {t.target}: {t.event}" for t in transitions)
        else:
            for transition in transitions:
                for source in sources:
                    events[source, transition.target].append(transition.event)
    for (source, target), names in events.items():
        yield f"{source} --> {target}: {' / '.join(names)}"
