"""Who may enter the panel, what a session shows, and what protects it."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import quote, urljoin

import pytest
import requests

from rax_scheduled_images_ext.panel.readings import Patience
from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..waiting import until
from .fleet import MYSERVER, project_of, sent
from .panels import Page, Panel, Proxy, Reader, panel_over, through

FACES = [{}, {"like": "rackspace"}]
on_both_faces = pytest.mark.parametrize("cloud", FACES, indirect=True)


@pytest.fixture
def shared(cloud: Sandbox) -> Iterator[Panel]:
    """A panel for several people."""
    with panel_over(cloud, login=True) as panel:
        yield panel


def revoked(cloud: Sandbox) -> int:
    """How many tokens were revoked."""
    return sum(
        (seen.method, seen.status) == ("DELETE", 204) and "/tokens" in seen.path
        for seen in cloud.requests
    )


# -- for oneself


def test_the_address_to_enter_by_works_once(panel: Panel) -> None:
    assert panel.settings.entry is not None
    address = f"/enter?token={panel.settings.entry.token}"
    reader = Reader(panel.url)
    page = reader.get(address)
    assert page.path.endswith("/servers")
    # Nothing of it stays in the address, and it is good for nothing any more.
    assert "token" not in page.response.url
    other = Reader(panel.url)
    for wrong in (address, "/enter", "/enter?token=ä", "/", page.path):
        page = other.get(wrong)
        assert page.status == 403
        assert page.all("h1") == ["This panel is only for the user who started it"]
    assert reader.get("/").status == 200


def test_without_a_session_nothing_changes(panel: Panel, cloud: Sandbox) -> None:
    reader = panel.reader()
    reader.link("myserver")
    address, fields = reader.fill("#schedule-form", retention=3)
    sent(cloud)
    page = Reader(panel.url).post(address, fields)
    assert page.status == 403
    assert page.all("h1") == ["This panel is only for the user who started it"]
    assert sent(cloud) == []


def test_what_was_typed_survives_for_oneself_as_well(
    panel: Panel, cloud: Sandbox
) -> None:
    reader = panel.reader()
    reader.link("myserver")
    home = reader.page.path
    form = reader.fill("#schedule-form", when="friday", retention=12)
    reader.session.cookies.clear()
    sent(cloud)
    assert reader.post(*form).status == 403
    assert sent(cloud) == []
    entry = panel.settings.entry
    assert entry is not None
    page = reader.get(f"/enter?token={entry.token}")
    assert page.path == f"{home}/schedule"
    assert {("when", "friday"), ("retention", "12")} <= {*reader.fill("#review")[1]}
    # An open page that looks again leads to the same.
    reader.session.cookies.clear()
    headers = {"HX-Request": "true", "X-Panel-Refresh": "1"}
    page = reader.get(home, headers=headers)
    assert (page.status, page.response.headers["HX-Redirect"]) == (204, "/")
    assert reader.get(f"/?next={quote(home + '?retention=9')}").status == 403
    page = reader.get(f"/enter?token={entry.token}")
    assert page.path == home
    assert page.at("#retention")["value"] == "9"


# -- several people


@on_both_faces
def test_log_in_choose_a_region_and_log_out(shared: Panel, cloud: Sandbox) -> None:
    reader = shared.logged_in("creator")
    if cloud.like == "rackspace":
        assert reader.page.all("#regions a") == ["DFW", "ORD"]
        page = reader.link("ORD")
        assert page.all("#servers tbody th") == ["backup1"]
        reader.link("DFW")
    assert len(reader.page.all("#servers tbody th")) == 4
    assert reader.page.all("#user") == ["creator"]
    address = reader.page.path
    page = reader.submit("form.who")
    assert page.all("h1") == ["You are logged out"]
    # The one of the project, and the one that logged in.
    assert revoked(cloud) == 2
    page = reader.get(address)
    assert page.path == "/login"
    assert page.all("#ended")


def test_logging_in_or_choosing_again_leaves_no_token_behind(
    shared: Panel, cloud: Sandbox
) -> None:
    reader = shared.logged_in("admin")
    reader.link("Other project")
    reader.submit("#choose")
    assert reader.page.path.endswith("/servers")
    assert revoked(cloud) == 0
    reader.get("/login")
    password = cloud.env()["OS_PASSWORD"]
    page = reader.submit("#login", user="observer", password=password)
    assert page.all("#user") == ["observer"]
    assert revoked(cloud) == 3
    reader.submit("form.who")
    assert revoked(cloud) == 5


@pytest.mark.parametrize(
    ("fields", "status", "problem"),
    [
        ({"password": "wrong"}, 403, "Wrong user name, password or domain"),
        ({"user": "nobody"}, 403, "Wrong user name, password or domain"),
        ({"domain": "elsewhere"}, 403, "Wrong user name, password or domain"),
        ({"password": ""}, 400, "Give a user name and a password."),
    ],
)
def test_a_wrong_login(
    shared: Panel, cloud: Sandbox, fields: dict[str, str], status: int, problem: str
) -> None:
    good = {"user": "admin", "password": cloud.env()["OS_PASSWORD"]}
    reader = shared.reader()
    reader.get("/login")
    page = reader.submit("#login", **{**good, **fields})
    assert page.status == status
    assert page.all("#problem")[0].startswith(problem)
    assert cloud.env()["OS_PASSWORD"] not in page.response.text
    assert reader.get("/").path == "/login"


def test_an_address_that_was_sent_leads_there_after_the_login(
    shared: Panel, cloud: Sandbox
) -> None:
    path = f"/p/{project_of(cloud)}/RegionOne/servers/{MYSERVER}"
    reader = shared.reader()
    assert reader.get(f"{path}?from=mail").path == "/login"
    env = cloud.env("observer")
    page = reader.submit("#login", user="observer", password=env["OS_PASSWORD"])
    assert page.path == path
    assert page.all("h1") == ["myserver"]


@pytest.mark.parametrize(
    ("form", "typed", "shown"),
    [
        ("#schedule-form", {"when": "friday", "retention": "12"}, "#review"),
        ("#snapshot-form", {"name": "before the upgrade"}, "#snapshot-form"),
        ("#bulk", {"server": MYSERVER, "when": "friday", "retention": "12"}, "#bulk"),
    ],
)
def test_what_was_typed_survives_a_session_that_ended(
    shared: Panel, cloud: Sandbox, form: str, typed: dict[str, str], shown: str
) -> None:
    reader = shared.logged_in()
    if form != "#bulk":
        reader.link("myserver")
    address, fields = reader.fill(form, **typed)
    reader.session.cookies.clear()
    sent(cloud)
    page = reader.post(address, fields)
    assert page.path == "/login"
    assert page.all("#ended")
    assert sent(cloud) == []
    reader.submit("#login", user="admin", password=cloud.env()["OS_PASSWORD"])
    assert dict(reader.fill(shown)[1]).items() >= typed.items()
    assert not [line for line in sent(cloud) if not line.startswith("GET")]


def test_a_login_page_that_is_too_old(shared: Panel, cloud: Sandbox) -> None:
    reader = shared.reader()
    reader.get("/login")
    address, fields = reader.fill("#login", user="admin", password="x", domain="d")
    reader.session.cookies.clear()
    page = reader.post(address, fields)
    assert (page.status, page.path) == (400, "/login")
    assert "Nothing was done" in page.all("#problem")[0]
    assert page.at("#user-name")["value"] == "admin"
    # Once shown, it is gone.
    assert reader.get("/login").all("#problem") == []


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "evil",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r\nSet-Cookie: x=y",
        "/\0",
        "/\x7f",
        "/p/\u2028",
    ],
)
def test_a_login_leads_to_no_other_site(
    shared: Panel, cloud: Sandbox, elsewhere: str
) -> None:
    reader = shared.reader()
    code = quote(elsewhere)
    assert reader.get(f"/login?next={code}").status == 200
    assert not reader.page.has("input[name=next]")
    page = reader.submit("#login", user="admin", password=cloud.env()["OS_PASSWORD"])
    assert page.response.url.startswith(shared.url)
    assert page.path.endswith("/servers")


def test_a_session_of_one_project_shows_nothing_of_another(
    shared: Panel, cloud: Sandbox
) -> None:
    path = f"/p/{project_of(cloud)}/RegionOne/servers"
    shared.logged_in("admin")
    reader = shared.logged_in("stranger")
    assert reader.page.all("#servers tbody th") == []
    for address in (path, f"{path}/{MYSERVER}"):
        page = reader.get(address)
        assert page.status == 403
        assert "shows no other project" in page.all("#problem")[0]
        assert "myserver" not in page.text
    page = reader.submit("main form")
    assert page.status == 403
    assert page.all("#problem")[0].startswith("You have no role in the project")
    # Neither by way of the own project's address.
    own = str(reader.session.get(f"{shared.url}/").url)
    page = reader.get(f"{own}/{MYSERVER}")
    assert page.status == 404


def test_a_session_that_idles_ends_and_a_page_that_refreshes_itself_idles(
    cloud: Sandbox,
) -> None:
    with panel_over(cloud, login=True, idle=8.0) as panel:
        # Before its last request: how long that takes is up to the machine.
        begun = time.monotonic()
        reader = panel.logged_in()
        path = reader.page.path
        headers = {"X-Panel-Refresh": "1", "HX-Request": "true"}

        def ended() -> bool:
            page = reader.get(path, headers=headers)
            return page.status == 204

        until(ended)
        assert time.monotonic() - begun > 7.9
        assert reader.page.response.headers["HX-Redirect"].startswith("/login")
        until(lambda: revoked(cloud) == 2)


def test_a_token_that_the_cloud_takes_back_ends_the_session(
    shared: Panel, cloud: Sandbox
) -> None:
    reader = shared.logged_in()
    path = reader.page.path
    cloud.fault("expire x1")
    reader.get(path)
    page = reader.get(path)
    assert page.path == "/login"


@on_both_faces
def test_a_revoked_token_ends_the_session_though_others_read(
    cloud: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with panel_over(cloud, login=True, refresh=600.0) as panel:
        reader = panel.logged_in()
        path = f"/p/{project_of(cloud)}/{cloud.regions[0]}/servers"
        reader.get(path)
        cloud.fault("expire x1")
        # What is shown has been read before; nobody asks the cloud.
        assert reader.get(path).path == path
        monkeypatch.setattr("rax_scheduled_images_ext.panel.sessions._CHECK", 0.0)
        cloud.fault("GET /identity 503 x1")
        assert reader.get(path).path == path
        assert reader.get(path).path == "/login"


@pytest.mark.parametrize("cloud", FACES, indirect=True)
def test_no_token_and_no_password_leaves_the_panel(
    shared: Panel, cloud: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reader = shared.logged_in()
    texts = [reader.page.response.text, str(reader.session.cookies)]
    if cloud.like == "rackspace":
        reader.link("DFW")
    texts.append(reader.link("myserver").response.text)
    reader.submit("form.who")
    texts += [reader.page.response.text, caplog.text]
    secret = cloud.env()["OS_PASSWORD"]
    for text in texts:
        assert secret not in text
        assert not re.search(r"gAAAA|WyI5|[\w-]{30,}\.[0-9a-f]{64}", text)


# -- what protects the pages


def test_the_headers_of_every_page(panel: Panel) -> None:
    reader = panel.reader()
    for path in ("/", "/nothing", "/static/panel.css", "/login"):
        headers = reader.get(path).response.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "Server" not in headers
    assert reader.get("/").response.headers["Cache-Control"] == "no-store"


def test_static_files_are_kept_by_browsers_until_they_change(panel: Panel) -> None:
    reader = panel.reader()
    addresses = [
        *(str(each["src"]) for each in reader.page.soup.select("script")),
        *(str(each["href"]) for each in reader.page.soup.select("link")),
    ]
    assert len(addresses) == 4
    for address in addresses:
        assert "?v=" in address
        caching = reader.get(address).response.headers["Cache-Control"]
        assert {*caching.split(", ")} == {"public", "max-age=31536000", "immutable"}
        # Without the current version, it is requested again each time.
        for other in (address.partition("?")[0], f"{address}x"):
            answer = reader.get(other).response
            assert {*answer.headers["Cache-Control"].split(", ")} == {
                "public",
                "no-cache",
            }
            etag = {"If-None-Match": answer.headers["ETag"]}
            assert reader.get(other, headers=etag).status == 304
    answer = reader.get("/static/nothing.css").response
    assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "no-store")


def test_the_pages_need_no_inline_script_and_no_other_host(panel: Panel) -> None:
    reader = panel.reader()
    for page in (reader.page, reader.link("myserver")):
        for script in page.soup.select("script"):
            assert script.get_text() == ""
            assert str(script["src"]).startswith("/static/")
        assert not page.has("[style], style")
        for tag in page.soup.select("*"):
            assert not [name for name in tag.attrs if name.startswith("on")]
            for name in ("href", "src", "action", "hx-get", "hx-post", "formaction"):
                address = urljoin(page.path, str(tag.get(name, "/")))
                assert address.startswith("/"), tag


def test_cookies(panel: Panel) -> None:
    entry = panel.settings.entry
    assert entry is not None
    answer = requests.get(
        f"{panel.url}/enter?token={entry.token}", allow_redirects=False, timeout=60
    )
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_behind_a_proxy_with_tls(cloud: Sandbox) -> None:
    with panel_over(cloud, proxies=1, hosts=("panel.example.com",)) as panel:
        assert panel.settings.entry is not None
        headers = {
            "X-Forwarded-For": "192.0.2.1",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "panel.example.com",
            "X-Forwarded-Prefix": "/images",
        }
        session = requests.Session()
        session.headers.update(headers)
        answer = session.get(
            f"{panel.url}/enter?token={panel.settings.entry.token}",
            allow_redirects=False,
            timeout=60,
        )
        assert "Secure" in answer.headers["Set-Cookie"]
        assert "Path=/images/" in answer.headers["Set-Cookie"]
        assert "Strict-Transport-Security" in answer.headers
        assert answer.headers["Location"] == "/images/"
        cookie = answer.headers["Set-Cookie"].split(";")[0]
        page = session.get(
            f"{panel.url}/p/{project_of(cloud)}/RegionOne/servers",
            headers={"Cookie": cookie},
            timeout=60,
        )
        addresses = re.findall(r'(?:href|src|action|hx-get)="(/[^"]*)"', page.text)
        assert len(addresses) > 10
        assert all(address.startswith("/images/") for address in addresses)


@pytest.mark.parametrize("prefix", ["", "/images"])
@pytest.mark.parametrize("port", ["", ":8443"])
def test_behind_a_proxy_on_any_port_and_under_any_prefix(
    cloud: Sandbox, prefix: str, port: str
) -> None:
    """Every address of every page leads through the proxy; the proxy sees to that."""
    outside = f"https://panel.example.com{port}{prefix}"
    patience = Patience(0.0, 0.0)
    with panel_over(
        cloud,
        login=True,
        proxies=1,
        hosts=("panel.example.com",),
        refresh=600.0,
        patience=patience,
    ) as panel:
        reader = through(Proxy(outside, panel.url))
        walked: set[str] = set()

        def walk(path: str) -> Page:
            """Open an address once there is something to show; see where it leads."""
            until(lambda: reader.get(path).status != 503)
            for each in reader.page.soup.select("*"):
                for name in (
                    "href",
                    "src",
                    "action",
                    "hx-get",
                    "hx-post",
                    "formaction",
                ):
                    address = str(each.get(name, f"{prefix}/"))
                    address = urljoin(reader.page.path, address)
                    assert address.startswith(f"{prefix}/"), each
                    walked.add(address)
            return reader.page

        home = f"{prefix}/p/{project_of(cloud)}/RegionOne/servers"
        # An address that was sent, before the login and the choice of a project.
        page = walk(f"{home}/{MYSERVER}?from=mail")
        assert page.path == f"{prefix}/login"
        reader.submit("#login", user="admin", password="wrong")
        assert reader.page.status == 403
        assert reader.page.path == f"{prefix}/login"
        reader.submit("#login", user="admin", password=cloud.env()["OS_PASSWORD"])
        # Nothing is known yet: the page that waits keeps the address as well.
        assert reader.page.path == f"{home}/{MYSERVER}"
        if reader.page.status == 503:
            assert reader.page.at("main a")["href"] == f"{home}/{MYSERVER}?from=mail"
        walk(f"{home}/{MYSERVER}")
        # Forms, and the pages that follow them.
        reader.submit("#schedule-form", when="friday", retention=3)
        assert reader.page.messages == ["Saved: weekly on Friday, keep 3."]
        reader.submit("#snapshot-form", name="mine")
        walk(home)
        reader.submit("#bulk", server=MYSERVER, retention=4)
        walk(reader.page.path)
        reader.submit("#change")
        walk(reader.page.path)
        for address in sorted(walked):
            if not address.startswith("#") and "/static/" not in address:
                walk(address)
        # A change of project, and back to where one was going.
        elsewhere = f"{prefix}/p/0123456789abcdef/RegionOne/servers"
        page = walk(elsewhere)
        assert page.status == 403
        assert page.at("main input[name=next]")["value"] == elsewhere
        assert reader.submit("main form").path == f"{prefix}/project"
        reader.submit("#choose")
        assert reader.page.path == home
        assert reader.submit("form.who").path == f"{prefix}/bye"


def test_headers_of_a_proxy_are_believed_only_if_there_is_one(panel: Panel) -> None:
    reader = panel.reader()
    headers = {"X-Forwarded-Prefix": "/x", "X-Forwarded-Host": "evil.example"}
    page = reader.get("/", headers=headers)
    assert "/x/" not in page.response.text
    assert page.response.url.startswith(panel.url)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:80", 200),
        ("127.0.0.1", 200),
        ("[::1]:8750", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
    ],
)
def test_the_name_that_the_panel_is_called_by(
    panel: Panel, host: str, status: int
) -> None:
    reader = panel.reader()
    page = reader.get("/health", headers={"Host": host})
    assert page.status == status
    page = reader.get("/enter?token=x", headers={"Host": host})
    assert (page.status == 400) == (status == 400)


def test_a_form_from_elsewhere_does_nothing(panel: Panel, cloud: Sandbox) -> None:
    reader = panel.reader()
    reader.link("myserver")
    for form in ("#schedule-form", "#snapshot-form", "form.who"):
        address, fields = reader.fill(form)
        sent(cloud)
        for token in ([], [("csrf_token", "made-up")]):
            rest = [(k, v) for k, v in fields if k != "csrf_token"]
            reader_page = reader.page
            page = reader.post(address, rest + token)
            assert page.status == 400
            assert page.all("h1") == ["Nothing was done"]
            reader.page = reader_page
        assert sent(cloud) == []


def test_every_form_that_changes_something_has_a_token(panel: Panel) -> None:
    reader = panel.reader()
    for page in (reader.page, reader.link("myserver")):
        forms = page.soup.select("form[method=post]")
        assert forms
        for form in forms:
            assert form.select("input[name=csrf_token]")


def test_a_form_sent_twice_acts_once(panel: Panel, cloud: Sandbox) -> None:
    reader = panel.reader()
    reader.link("myserver")
    address, fields = reader.fill("#snapshot-form", name="once")
    threads = [
        threading.Thread(
            target=requests.post,
            args=(address,),
            kwargs={"data": fields, "cookies": reader.session.cookies, "timeout": 60},
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cloud.images(MYSERVER)) == 1
    page = reader.post(address, fields)
    assert page.messages[-1] == "The same form was sent twice. It was carried out once."
    assert len(cloud.images(MYSERVER)) == 1
    # Another name is another form.
    cloud.advance("1h")
    reader.post(address, [(k, "more" if k == "name" else v) for k, v in fields])
    assert len(cloud.images(MYSERVER)) == 2


# -- roles


@pytest.mark.parametrize("user", ["observer", "global-observer", "observer2"])
@on_both_faces
def test_who_may_only_look_is_offered_nothing_else(
    shared: Panel, cloud: Sandbox, user: str, nova: Nova
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "2")
    cloud.advance("3d")
    admin, reader = shared.logged_in(), shared.logged_in(user)
    for each in (admin, reader):
        if cloud.like == "rackspace":
            each.link("DFW")
    assert reader.page.has("#read-only")
    assert not reader.page.has("#servers input, #bulk button")
    page = reader.link("myserver")
    assert page.has("#read-only")
    assert page.all("main form, main .button, #image-table a") == []

    # Refused when asked for all the same, in words.
    admin.link("myserver")
    token = str(page.at("form.who input[name=csrf_token]")["value"])
    for form, fields in (
        ("#schedule-form", {"retention": "9", "before": "daily, keep 2"}),
        ("form[action$=disable]", {"before": "daily, keep 2"}),
        ("#snapshot-form", {"name": "x"}),
        ("#protect", {"image": cloud.images(MYSERVER)[0].id}),
    ):
        action = admin.page.soup.select(form)[0]["action"]
        body = [("csrf_token", token), *fields.items()]
        page = reader.post(str(action), body)
        assert page.status == 200
        assert "Your role does not permit this" in page.text
    assert len(cloud.images(MYSERVER)) == 2
    assert "Retention: 2" in nova.ok("scheduled-images-show", "myserver")


def test_a_creator_sets_schedules_and_does_not_remove_them(
    shared: Panel, nova: Nova
) -> None:
    reader = shared.logged_in("creator")
    assert not reader.page.has("[name=action][value=disable]")
    reader.link("myserver")
    page = reader.submit("#schedule-form", retention=3)
    assert page.messages == ["Saved: daily, keep 3."]
    assert not page.has("form[action$=disable]")
    token = str(page.at("form.who input[name=csrf_token]")["value"])
    fields = [("csrf_token", token), ("before", "daily, keep 3")]
    page = reader.post(f"{page.path}/disable", fields)
    assert "Your role does not permit this" in page.messages[0]
    assert "Retention: 3" in nova.ok("scheduled-images-show", "myserver")


@pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
def test_a_member_removes_schedules_that_are_tags(shared: Panel) -> None:
    reader = shared.logged_in("creator")
    assert reader.page.has("[name=action][value=disable]")
    reader.link("myserver")
    page = reader.submit("#schedule-form", retention=3)
    page = reader.submit("form[action$=disable]")
    assert page.messages == ["The schedule is off. The images stay."]


def test_times_are_written_for_people_and_for_programs(
    panel: Panel, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "2")
    cloud.advance("3d")
    reader = panel.reader()
    page = reader.link("myserver")
    times = page.soup.select("time")
    assert len(times) >= 4
    for each in times:
        moment = datetime.fromisoformat(str(each["datetime"]).replace("Z", "+00:00"))
        assert each.get_text() == moment.strftime("%Y-%m-%d %H:%M UTC")


def test_the_colours_and_the_time_zone_are_ones_own(
    panel: Panel, nova: Nova, cloud: Sandbox
) -> None:
    nova.ok("scheduled-images-enable", "myserver", "2")
    cloud.advance("1d")
    reader = panel.reader()
    reader.link("myserver")
    back = reader.page.path
    assert not reader.page.soup.html.has_attr("data-theme")  # type: ignore[union-attr]
    reader.link("Appearance")
    page = reader.submit("#look", theme="dark", zone="Asia/Kolkata")
    assert page.path == back
    assert page.messages == ["The appearance is saved in this browser."]
    html = page.at("html")
    assert (html["data-theme"], html["data-zone"]) == ("dark", "Asia/Kolkata")
    time = page.at("#image-table time")
    moment = datetime.fromisoformat(str(time["datetime"]).replace("Z", "+00:00"))
    there = moment + timedelta(hours=5, minutes=30)
    assert time.text == there.strftime("%Y-%m-%d %H:%M IST")
    image, next_one = page.all("#lanes .cell")
    assert there.strftime("%m-%d") in image
    assert there.strftime("made %Y-%m-%d %H:%M IST") in image
    assert next_one.endswith(" IST")
    # Nonsense is nothing.
    reader.session.cookies.set("panel-look", "purple Nowhere/At_all")
    assert reader.get(back).status == 200
