"""The hand at a simulated cabinet, as a program for `--hand`: CONTROL_URL CABINET ACTION [CELL].

It imports nothing of the project, because it is started for each action.
"""

import json
import sys
from http.client import HTTPConnection

address, cabinet, action, *cells = sys.argv[1:]
arguments: dict[str, object] = {}
if cells:
    arguments["cell"] = int(cells[0])
if action == "insert":
    arguments["accumulator"] = "KIT-1"
path = f"/cabinets/{cabinet}/{'reboot' if action == 'power' else action}"
connection = HTTPConnection(address.removeprefix("http://"), timeout=20)
connection.request("POST", path, json.dumps(arguments))
response = connection.getresponse()
sys.exit(0 if response.status == 200 else response.read().decode())
