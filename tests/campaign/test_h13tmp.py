import socket, json
import pytest
from local.gateway import Gateway
from tests.service import DOCUMENT, Service, KEYS

def talk(port, raw, timeout=3):
    with socket.create_connection(("127.0.0.1", port), timeout) as c:
        c.sendall(raw)
        got=b""
        try:
            while True:
                part=c.recv(65536)
                if not part: got+=b"<EOF>"; break
                got+=part
                if got.count(b"HTTP/1.1")>3: break
        except TimeoutError: got+=b"<TIMEOUT>"
        except ConnectionError as e: got+=b"<RESET>"
        return got
A=b"Authorization: Bearer key-of-operator\r\n"
def test_it(service: Service) -> None:
    g=Gateway(DOCUMENT, service.pool, port=0); g.start(); p=int(g.url.rpartition(":")[2])
    def show(name, raw):
        r=talk(p, raw, 0.7)
        print(f"{name:28}", [l[:70] for l in r.split(b"\r\n") if l.startswith(b"HTTP/") or l.startswith(b"<")], r[-12:], len(r), r[:60] if not r.startswith(b"HTTP") else "")
    post=b"POST /v1/accumulators HTTP/1.1\r\nHost: x\r\n"+A+b"Content-Type: application/json\r\n"
    body=b'{"accumulator_id":"A-1"}'
    show("no length", post+b"\r\n"+body)
    show("negative", post+b"Content-Length: -1\r\n\r\n"+body)
    show("text length", post+b"Content-Length: abc\r\n\r\n"+body)
    show("plus", post+b"Content-Length: +24\r\n\r\n"+body)
    show("underscore", post+b"Content-Length: 2_4\r\n\r\n"+body)
    show("short", post+b"Content-Length: 5\r\n\r\n"+body)
    show("long", post+b"Content-Length: 500\r\n\r\n"+body)
    show("two lengths", post+b"Content-Length: 24\r\nContent-Length: 5\r\n\r\n"+body)
    show("huge length", post+b"Content-Length: "+b"9"*30+b"\r\n\r\n"+body)
    show("5000 digits", post+b"Content-Length: "+b"9"*5000+b"\r\n\r\n"+body)
    show("CL+TE", post+b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n"+body+b"\r\n0\r\n\r\n")
    show("TE weird", post+b"Transfer-Encoding: xchunked\r\n\r\n18\r\n"+body+b"\r\n0\r\n\r\n")
    show("TE gzip, chunked", post+b"Transfer-Encoding: gzip, chunked\r\n\r\n18\r\n"+body+b"\r\n0\r\n\r\n")
    show("huge chunk", post+b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n"+body)
    show("neg chunk", post+b"Transfer-Encoding: chunked\r\n\r\n-18\r\n"+body)
    show("chunk ext", post+b"Transfer-Encoding: chunked\r\n\r\n18;a=b\r\n"+body+b"\r\n0\r\n\r\n")
    show("long header", b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"X: "+b"x"*70000+b"\r\n\r\n")
    show("many headers", b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"X: x\r\n"*150+b"\r\n")
    show("many big headers", b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+(b"X: "+b"x"*60000+b"\r\n")*90+b"\r\n")
    show("long url", b"GET /v1/cabinets/"+b"x"*70000+b" HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("60k url", b"GET /v1/cabinets/"+b"x"*60000+b" HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("no host", b"GET /v1/cabinets HTTP/1.1\r\n"+A+b"\r\n")
    show("bad host", b"GET /v1/cabinets HTTP/1.1\r\nHost: a b\x01<>\r\n"+A+b"\r\n")
    show("absolute", b"GET http://evil/v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("absolute bad", b"GET http://[::1/v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("//", b"GET //v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("//[", b"GET //[v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("connect", b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("raw bytes url", b"GET /v1/cabinets/\xff\xc0\x80 HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("space url", b"GET /v1/cabinets/a b HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("http 0.9", b"GET /v1/cabinets\r\n\r\n")
    show("http/9.9", b"GET /v1/cabinets HTTP/9.9\r\nHost: x\r\n\r\n")
    show("garbage", b"\x16\x03\x01\x02\x00\x01\xff\r\n\r\n")
    show("empty line", b"\r\n\r\n\r\n")
    show("bare LF", b"GET /v1/cabinets HTTP/1.1\nHost: x\n"+A[:-2]+b"\n\n")
    show("obs-fold", b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"X: a\r\n b\r\n\r\n")
    show("header no colon", b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\nevil\r\n"+A+b"\r\n")
    show("space before colon", b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer key-of-operator\r\n\r\n")
    show("NUL in header", b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"X: a\x00b\r\n\r\n")
    show("latin1 in header", b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"X: \xff\xfe\r\nUser-Agent: \xff\r\nCookie: \xff=\xfe; a\r\n\r\n")
    show("CR in header", b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"X: a\rX-Evil: 1\r\n\r\n")
    show("two auth", b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"Authorization: Bearer key-of-read\r\n\r\n")
    show("two idem", post+b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 24\r\n\r\n"+body)
    show("method lower", b"get /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("method odd", b"G\xcbT /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("HEAD", b"HEAD /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("HEAD health + next", b"HEAD /v1/health HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n"+b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("DELETE 204 + next", b"POST /v1/accumulators HTTP/1.1\r\nHost: x\r\n"+A+b'Content-Length: 27\r\n\r\n{"accumulator_id": "DEL-1"}'+b"DELETE /v1/accumulators/DEL-1 HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n"+b"GET /v1/cabinets HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    show("docs traversal", b"GET /docs/../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n")
    show("docs traversal2", b"GET /docs//etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n")
    show("many query", b"GET /v1/cabinets?"+b"&".join(b"a%d=1"%i for i in range(6000))+b" HTTP/1.1\r\nHost: x\r\n"+A+b"\r\n")
    g.stop()
