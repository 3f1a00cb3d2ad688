"""The hand at a simulated cabinet, as a program for `--hand`: CONTROL_URL CABINET ACTION [CELL].

It imports nothing of the project, because it is started for each action.
"""

import json
import sys
import urllib.request

control_url, cabinet, action, *cells = sys.argv[1:]
arguments: dict[str, object] = {"cell": int(cell) for cell in cells}
if action == "insert":
    arguments["accumulator"] = "KIT-1"
path = {"power": "reboot"}.get(action, action)
request = urllib.request.Request(
    f"{control_url}/cabinets/{cabinet}/{path}", json.dumps(arguments).encode(), method="POST"
)
with urllib.request.urlopen(request, timeout=20) as response:
    print(response.read().decode())
