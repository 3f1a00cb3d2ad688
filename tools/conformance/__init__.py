"""The conformance kit: what a cabinet does, compared with docs/protocol.md rule by rule.

`proxy` records everything between the cabinet and the broker in a `transcript`; `walk` drives the
cabinet through its steps; `rules` are pure functions of the transcript; `report` writes the result.
"""
