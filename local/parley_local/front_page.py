"""What stands at the address that `make dev` prints: where to go from there."""

from __future__ import annotations

from parley_local.messages import HttpResponse

PATH = "/"
"""Not a route of the API: the template does not have it."""

_PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Parley on this machine</title>
<h1>Parley on this machine</h1>
<ul>
<li><a href="chat">Talk to the agents</a>, as any user
<li><a href="console">See what happens</a>, as an administrator
<li><a href="docs">The API, to try out</a>: press Authorize, and give a token
<li><a href="openapi.json">Its OpenAPI document</a>
<li><a href="health">Whether it runs</a>
</ul>
<p>A token is what <code>parley token</code> prints; <code>--user</code> names another user,
<code>--admin</code> makes an administrator's. With curl:</p>
<pre>curl -H "Authorization: Bearer $(parley token)" -d '{"text": "add buy milk"}' \\
  -H "Content-Type: application/json" %(url)s/messages</pre>
<p>In a terminal: <code>parley chat</code></p>
</html>
"""
_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
)


def front_page(url: str) -> HttpResponse:
    """Return the page of what answers at an address."""
    return HttpResponse(200, _HEADERS, _PAGE.replace(b"%(url)s", url.encode()))
