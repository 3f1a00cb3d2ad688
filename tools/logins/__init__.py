"""Devices' logins at the broker: `python -m tools logins`; see docs/cabinet-credentials.md."""
