"""A command added by one new file, and the documents generated with it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from local import documents

KIND = "set_charge_limit"
_FILE = '''"""Set charge limit: spare the accumulators of a cabinet."""

from typing import Literal

from pydantic import Field

from shared.commands import Command


class SetChargeLimit(Command):
    """Charge no further than this."""

    kind: Literal["set_charge_limit"] = "set_charge_limit"
    limit: int = Field(gt=0, le=100)
'''
_WRITE = """
import sys
from pathlib import Path

from shared import commands

commands.__path__.append(sys.argv[1])

from local import documents

documents.write(Path(sys.argv[1]))
"""


def generated_documents(directory: Path) -> dict[str, Any]:
    """Generate the documents in another process; return each by its file's name."""
    (directory / f"{KIND}.py").write_text(_FILE, encoding="utf-8")
    root = documents.DIRECTORY.parent
    subprocess.run([sys.executable, "-c", _WRITE, str(directory)], cwd=root, check=True)
    return {path.name: json.loads(path.read_text()) for path in directory.glob("*.json")}
