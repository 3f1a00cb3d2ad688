"""The printable hand-over: a page with a card for each cabinet, without external resources."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_CARDS_ON_A_PAGE = 6
_GROUP = 4
_DATA = '<script type="application/json" id="logins">'
_STYLE = """\
body { font: 11pt/1.35 system-ui, sans-serif; margin: 0 auto; max-width: 190mm; padding: 5mm }
h1 { font-size: 16pt } h2 { font-size: 13pt; margin: 0 0 1mm }
code { font: 10pt ui-monospace, monospace; overflow-wrap: anywhere }
.password code { font-size: 13pt } .password span { margin-right: .5ch }
.page { display: grid; grid-template-columns: 1fr 1fr; break-after: page }
.page:last-of-type { break-after: auto }
article { border: 1px dashed #777; padding: 4mm; break-inside: avoid }
article p { margin: 0 0 1mm } article.pending { background: #fdd }
dl { margin: 0; display: grid; grid-template-columns: 21mm 1fr; gap: .4mm 2mm }
dt { color: #555; font-size: 9pt } dd { margin: 0 }
.fingerprint { font-size: 7.5pt }
header { break-after: page }
@page { size: A4; margin: 8mm }
"""


def page(broker: Mapping[str, Any], logins: Sequence[Mapping[str, Any]]) -> str:
    """Return the page. It also has the logins as JSON, for `rows`."""
    pages = [
        f'<section class="page">{"".join(_card(one) for one in logins[at : at + _CARDS_ON_A_PAGE])}'
        "</section>"
        for at in range(0, len(logins), _CARDS_ON_A_PAGE)
    ]
    data = json.dumps([dict(one) for one in logins]).replace("<", "\\u003c")
    return f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="robots" content="noindex">
<title>Logins of {len(logins)} cabinets</title>
<style>
{_STYLE}</style>
<header>
<h1>Logins of {len(logins)} cabinets</h1>
<p>Cut the cards out, and give each to whoever sets that cabinet up. A password is stored nowhere
else: if a card is lost, or seen by others, replace the password with
<code>python -m tools logins rotate</code>. Destroy the cards and this file when the cabinets are
connected.</p>
{_ca(broker)}
{_pending(logins)}
</header>
{"".join(pages)}
{_DATA}{data}</script>
</html>
"""


def rows(text: str) -> list[dict[str, Any]]:
    """Return the logins on a page. Raises ValueError."""
    _, found, rest = text.partition(_DATA)
    if not found:
        raise ValueError("the page has no logins")
    logins: list[dict[str, Any]] = json.loads(rest.partition("</script>")[0])
    return logins


def _ca(broker: Mapping[str, Any]) -> str:
    if not broker["tls"]:
        return "<p>This broker is a local one, without TLS: cabinets need no CA.</p>"
    data = b64encode(str(broker["ca_pem"]).encode()).decode()
    return f"""\
<p>Cabinets verify the broker with its CA certificate:
<a download="ca.pem" href="data:application/x-pem-file;base64,{data}">save it as ca.pem</a>, or run
<code>terraform -chdir=terraform output -raw broker_ca &gt; ca.pem</code>. Compare its SHA-256
fingerprint (<code>openssl x509 -noout -fingerprint -sha256 -in ca.pem</code>):<br>
<code>{escape(broker["ca_sha256"])}</code></p>"""


def _pending(logins: Sequence[Mapping[str, Any]]) -> str:
    count = sum(one["state"] != "valid" for one in logins)
    if not count:
        return ""
    return (
        f"<p><strong>{count} of these logins are not known to work (marked NOT STORED).</strong>"
        " Run the same command again before you hand anything out.</p>"
    )


def _card(login: Mapping[str, Any]) -> str:
    place = [login["cabinet_id"], login["address"]]
    title = " · ".join(escape(one) for one in dict.fromkeys(place) if one)
    password = login["password"]
    groups = [password[at : at + _GROUP] for at in range(0, len(password), _GROUP)]
    lines = {
        "Broker": f"{_code(login['host'])} port {_code(str(login['port']))}",
        "Device, login": _code(login["username"]),
        "Sends to": _code(login["publish"]),
        "Reads": f"{_code(login['subscribe'])} {_code(login['subscribe_all'])}",
    }
    if login["ca_sha256"]:
        lines["CA SHA-256"] = f'<code class="fingerprint">{escape(login["ca_sha256"])}</code>'
    stored = login["state"] == "valid"
    return f"""\
<article class="{login["state"]}">
<h2>{title or escape(login["device_id"])}</h2>
{"" if stored else "<p><strong>NOT STORED</strong></p>"}
<dl>{"".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in lines.items())}</dl>
<p class="password">Password, without the gaps:<br><code>\
{"".join(f"<span>{escape(group)}</span>" for group in groups)}</code></p>
</article>
"""


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
