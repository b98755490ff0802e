"""The hotspot's stock pages. `$(name)` is replaced by the router when a page is shown."""

from __future__ import annotations

_HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
STOCK_PAGES = {
    "login.html": _HEAD
    + """<title>Log in</title>
<h1>Training hotspot</h1>
$(if error)<p role="alert">$(error)</p>$(endif)
<form name="login" action="$(link-login-only)" method="post">
<input type="hidden" name="dst" value="$(link-orig)"><input type="hidden" name="popup" value="false">
<label>Login <input name="username" value="$(username)"></label>
<label>Password <input name="password" type="password"></label>
<button>OK</button>
</form>
""",
    "rlogin.html": _HEAD
    + '<meta http-equiv="refresh" content="0; url=$(link-redirect)"><a href="$(link-redirect)">log in</a>',
    "alogin.html": _HEAD
    + '<title>You are logged in</title><h1>You are logged in</h1><a href="$(link-status)">status</a>',
    "status.html": _HEAD
    + """<title>Status</title><h1>Welcome $(username)</h1>
<dl><dt>IP<dd>$(ip)<dt>bytes up/down<dd>$(bytes-in-nice) / $(bytes-out-nice)<dt>connected<dd>$(uptime)
$(if session-time-left)<dt>left<dd>$(session-time-left)$(endif)</dl>
<form action="$(link-logout)" method="post"><button>log off</button></form>
""",
    "logout.html": _HEAD
    + '<title>Logged out</title><h1>You have just logged out</h1><a href="$(link-login)">log in</a>',
    "error.html": _HEAD + "<title>Error</title><h1>Hotspot error: $(error)</h1>",
}
