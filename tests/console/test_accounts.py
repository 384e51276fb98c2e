"""Who is let in, and how others are kept out, asked over TCP as a browser or a program asks."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from eraser.console import access, passwords
from eraser.domain.account import Permission, Role
from tests.console.people import PASSWORD, Browser, Plant, cookies_of
from tests.console.serving import ask, connect
from tests.console.test_server import assert_problem

START = {"standard": "nist-clear", "sighting": "seen-in-A1"}


async def test_a_set_up_link_makes_one_administrator_and_no_second(plant: Plant) -> None:
    link = await plant.accounts.set_up_link()
    order = {"link": link, "name": "Anna", "password": PASSWORD}
    assert (await ask(plant.port, "POST", "/api/v1/password", order)).status == 204
    assert_problem(await ask(plant.port, "POST", "/api/v1/password", order | {"name": "Bo"}), 403, "refused")
    browser = Browser(plant.port)
    assert (await browser.sign_in("Anna")).json["roles"] == ["administrator"]
    assert [account["name"] for account in (await browser.get("/api/v1/accounts")).json] == ["Anna"]


async def test_a_set_up_link_works_by_its_page_alone(plant: Plant) -> None:
    link, browser = await plant.accounts.set_up_link(), Browser(plant.port)
    assert link.encode() in (await browser.get(f"/set-up?link={link}")).body
    weak = await browser.post_form("/set-up", link=link, name="Anna", password="short")
    assert (weak.status, b"12 to 256 characters" in weak.body) == (400, True)
    done = await browser.post_form("/set-up", link=link, name="Anna", password=PASSWORD)
    assert (done.status, done.headers["location"]) == (303, "/sign-in")
    assert (await browser.get(f"/set-up?link={link}")).status == 403
    entered = await browser.post_form("/sign-in", name="Anna", password=PASSWORD, next="/lots?x=1")
    assert (entered.status, entered.headers["location"]) == (303, "/lots?x=1")
    assert (await browser.get("/api/v1/bays")).status == 200


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "x", "/a\r\nb: c"])
async def test_signing_in_leads_nowhere_else(plant: Plant, elsewhere: str) -> None:
    await plant.hire("Anna", Role.OPERATOR)
    answer = await Browser(plant.port).post_form("/sign-in", name="Anna", password=PASSWORD, next=elsewhere)
    assert (answer.status, answer.headers["location"]) == (303, "/")


async def test_a_page_for_those_who_are_signed_in_leads_to_signing_in_and_the_api_does_not(plant: Plant) -> None:
    page = await ask(plant.port, "GET", "/bays/A1?x=y", accept="text/html,*/*")
    assert (page.status, page.exact["location"]) == (303, "/sign-in?next=%2Fbays%2FA1%3Fx%3Dy")
    assert_problem(await ask(plant.port, "GET", "/api/v1/bays", accept="text/html"), 401, "unauthenticated")


async def test_a_wrong_password_an_unknown_name_and_a_disabled_account_are_answered_alike(plant: Plant) -> None:
    for name in ("Anna", "Chen"):
        await plant.hire(name, Role.OPERATOR)
    await plant.hire("Boss", Role.ADMINISTRATOR)
    await plant.accounts.change("Chen", is_disabled=True)
    answers = [
        await Browser(plant.port).sign_in("Anna", "a wrong password"),
        await Browser(plant.port).sign_in("Nobody"),
        await Browser(plant.port).sign_in("no/name"),
        await Browser(plant.port).sign_in("Chen"),
    ]
    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}
    assert not any(cookies_of(answer) for answer in answers)


async def test_a_session_is_a_cookie_that_no_script_and_no_other_site_gets(plant: Plant) -> None:
    await plant.hire("Anna", Role.OPERATOR)
    plain = await Browser(plant.port).sign_in("Anna")
    words = plain.headers["set-cookie"].split("; ")
    assert {"httponly", "samesite=strict", "path=/"} <= set(words)
    assert "secure" not in words
    body = {"name": "Anna", "password": PASSWORD}
    behind = await ask(plant.port, "POST", "/api/v1/session", body, x_forwarded_proto="https")
    assert behind.exact["set-cookie"].startswith("__Host-eraser-session=")
    assert {"httponly", "samesite=strict", "path=/", "secure"} <= set(behind.headers["set-cookie"].split("; "))
    assert "domain" not in behind.headers["set-cookie"]


async def test_a_session_that_was_planted_is_never_the_one_that_signing_in_gives(plant: Plant) -> None:
    await plant.hire("Anna", Role.OPERATOR)
    victim = Browser(plant.port, {"eraser-session": "planted-by-somebody"})
    assert (await victim.sign_in("Anna")).status == 201
    assert victim.cookies["eraser-session"] != "planted-by-somebody"
    assert (await Browser(plant.port, {"eraser-session": "planted-by-somebody"}).get("/api/v1/bays")).status == 401


async def test_signing_in_again_ends_the_earlier_session(plant: Plant) -> None:
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    earlier = replace(anna, cookies=dict(anna.cookies))
    await anna.sign_in("Anna")
    assert (await anna.get("/api/v1/bays")).status == 200
    assert (await earlier.get("/api/v1/bays")).status == 401


async def test_signing_out_ends_the_session_for_whoever_kept_its_cookie(plant: Plant) -> None:
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    kept = Browser(plant.port, dict(anna.cookies))
    assert (await kept.get("/api/v1/bays")).status == 200
    assert (await anna.ask("DELETE", "/api/v1/session")).status == 204
    assert (await kept.get("/api/v1/bays")).status == 401


async def test_whoever_is_disabled_or_loses_a_role_feels_it_at_once(plant: Plant) -> None:
    boss = await plant.browser_of("Boss", Role.ADMINISTRATOR)
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    assert (await anna.ask("POST", "/api/v1/bays/A1/pause")).status == 202
    assert (await boss.ask("PATCH", "/api/v1/accounts/Anna", {"roles": ["auditor"]})).status == 200
    assert_problem(await anna.ask("POST", "/api/v1/bays/A1/pause"), 403, "forbidden")
    assert (await boss.ask("PATCH", "/api/v1/accounts/Anna", {"is_disabled": True})).status == 200
    assert_problem(await anna.get("/api/v1/bays"), 401, "unauthenticated")


async def test_the_last_administrator_stays(plant: Plant) -> None:
    boss = await plant.browser_of("Boss", Role.ADMINISTRATOR)
    for change in ({"is_disabled": True}, {"roles": ["operator"]}):
        answer = await boss.ask("PATCH", "/api/v1/accounts/Boss", change)
        assert_problem(answer, 409, "refused")
        assert answer.json["reason"] == "last-administrator"
    assert (await boss.get("/api/v1/accounts")).status == 200


async def test_a_reset_ends_password_and_sessions_and_its_link_works_once(plant: Plant) -> None:
    boss = await plant.browser_of("Boss", Role.ADMINISTRATOR)
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    link = (await boss.ask("POST", "/api/v1/accounts/Anna/reset")).json["link"].partition("link=")[2]
    assert (await anna.get("/api/v1/bays")).status == 401
    assert (await anna.sign_in("Anna")).status == 401
    order = {"link": link, "password": "another horse battery"}
    assert (await ask(plant.port, "POST", "/api/v1/password", order)).status == 204
    assert (await ask(plant.port, "POST", "/api/v1/password", order)).status == 403
    assert (await anna.sign_in("Anna", "another horse battery")).status == 201


async def test_a_changed_password_ends_the_other_sessions_only(plant: Plant) -> None:
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    other = Browser(plant.port)
    await other.sign_in("Anna")
    wrong = {"old": "not this one", "new": "another horse battery"}
    assert_problem(await anna.ask("PUT", "/api/v1/session/password", wrong), 403, "forbidden")
    assert (await anna.ask("PUT", "/api/v1/session/password", wrong | {"old": PASSWORD})).status == 204
    assert (await anna.get("/api/v1/bays")).status == 200
    assert (await other.get("/api/v1/bays")).status == 401


@pytest.mark.parametrize("password", ["short", "annaannaanna", "aaaaaaaaaaaaaaa"])
async def test_a_password_that_is_guessed_at_once_is_not_taken(plant: Plant, password: str) -> None:
    link = await plant.accounts.set_up_link()
    order = {"link": link, "name": "Anna", "password": password}
    assert_problem(await ask(plant.port, "POST", "/api/v1/password", order), 400, "usage")
    assert not await plant.accounts.any()


@pytest.mark.parametrize("name", ["", " Anna", "Ａnna", "a/b", "root", "token:x", "a\nb", "x" * 65])  # noqa: RUF001
async def test_a_name_that_could_be_taken_for_another_is_none(plant: Plant, name: str) -> None:
    link = await plant.accounts.set_up_link()
    answer = await ask(plant.port, "POST", "/api/v1/password", {"link": link, "name": name, "password": PASSWORD})
    assert answer.status in (400, 422)
    assert not await plant.accounts.any()


# ---- guessing


async def test_who_guesses_is_stopped_before_a_hash_is_made(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    await plant.hire("Anna", Role.OPERATOR)
    hashed: list[str] = []
    real = passwords.Passwords._fits

    def counted(self: passwords.Passwords, password_hash: str, password: str) -> bool:
        hashed.append(password)
        return real(self, password_hash, password)

    monkeypatch.setattr(passwords.Passwords, "_fits", counted)
    guesses = (Browser(plant.port).sign_in("Anna", f"guess number {number}") for number in range(40))
    statuses = [answer.status for answer in await asyncio.gather(*guesses)]
    assert sorted(set(statuses)) == [401, 429]
    assert statuses.count(401) == len(hashed) == 5
    stopped = await Browser(plant.port).sign_in("Anna")
    assert_problem(stopped, 429, "too-many")
    assert 0 < int(stopped.headers["retry-after"]) <= 300
    assert len(hashed) == 5


def test_one_name_guessed_from_elsewhere_does_not_shut_its_owner_out() -> None:
    now = [0.0]
    limit = passwords.GuessLimit(lambda: now[0])
    for _ in range(5):
        limit.begin("Anna", "192.0.2.1")
    with pytest.raises(passwords.TooMany):
        limit.begin("Anna", "192.0.2.1")
    limit.begin("Anna", "192.0.2.2")
    now[0] = 301.0
    limit.begin("Anna", "192.0.2.1")


def test_many_names_from_one_address_are_stopped_and_many_addresses_at_one_name() -> None:
    limit = passwords.GuessLimit(lambda: 0.0)
    for number in range(30):
        limit.begin(f"name {number}", "192.0.2.1")
    with pytest.raises(passwords.TooMany):
        limit.begin("yet another", "192.0.2.1")
    limit = passwords.GuessLimit(lambda: 0.0)
    for number in range(50):
        limit.begin("Anna", f"192.0.2.{number}")
    with pytest.raises(passwords.TooMany):
        limit.begin("Anna", "198.51.100.1")


def test_the_right_password_is_no_guess() -> None:
    limit = passwords.GuessLimit(lambda: 0.0)
    for _ in range(100):
        limit.begin("Anna", "192.0.2.1")
        limit.succeeded("Anna", "192.0.2.1")


def test_the_memory_of_a_throttle_has_an_end() -> None:
    throttle = passwords.Throttle(5, 300.0, lambda: 0.0)
    for number in range(passwords.MAX_KEYS + 100):
        throttle.count(str(number))
    assert len(throttle) == passwords.MAX_KEYS


# ---- orders that only seem to be meant


async def test_an_order_without_the_pages_token_is_none(plant: Plant) -> None:
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    for token in ("", "x", "0" * 64):
        answer = await anna.ask("POST", "/api/v1/bays/A1/start", START, x_csrf_token=token)
        assert_problem(answer, 403, "forbidden")
        assert answer.json["reason"] == "no-csrf-token"
    other = await plant.browser_of("Bo", Role.OPERATOR)
    stolen = await anna.ask("POST", "/api/v1/bays/A1/start", START, x_csrf_token=other.csrf_token)
    assert stolen.status == 403
    assert plant.station.orders == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"origin": "http://localhost.evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
async def test_an_order_from_another_sites_page_is_none_even_with_the_token(
    plant: Plant, headers: dict[str, str]
) -> None:
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    answer = await anna.ask("POST", "/api/v1/bays/A1/start", START, **headers)
    assert_problem(answer, 403, "forbidden")
    assert answer.json["reason"] == "foreign-origin"
    assert plant.station.orders == []
    own = await anna.ask(
        "POST", "/api/v1/bays/A1/start", START, origin="http://localhost", sec_fetch_site="same-origin"
    )
    assert own.status == 202


async def test_another_site_can_not_sign_a_browser_in(plant: Plant) -> None:
    await plant.hire("Mallory", Role.OPERATOR)
    body = {"name": "Mallory", "password": PASSWORD}
    answer = await ask(plant.port, "POST", "/api/v1/session", body, origin="https://evil.example")
    assert_problem(answer, 403, "forbidden")


async def test_a_form_carries_the_token_in_a_field(plant: Plant) -> None:
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    token, anna.csrf_token = anna.csrf_token, ""
    assert (await anna.post_form("/sign-out", csrf_token="x")).status == 403
    assert (await anna.post_form("/sign-out", csrf_token=token)).status == 303
    assert (await anna.get("/api/v1/bays")).status == 401


# ---- programs, the wall


async def test_a_token_opens_its_scopes_and_nothing_else(plant: Plant) -> None:
    bearer = f"Bearer {await plant.token(Permission.VIEW_RACK, Permission.OPERATE)}"
    assert (await ask(plant.port, "GET", "/api/v1/bays", authorization=bearer)).status == 200
    assert (await ask(plant.port, "POST", "/api/v1/bays/A1/start", START, authorization=bearer)).status == 202
    assert plant.station.operators == ["token:erp"]
    assert_problem(await ask(plant.port, "GET", "/api/v1/lots", authorization=bearer), 403, "forbidden")
    assert_problem(await ask(plant.port, "GET", "/api/v1/accounts", authorization=bearer), 403, "forbidden")


@pytest.mark.parametrize("authorization", ["Bearer x", "Bearer", "Basic YTpi", "", "Bearer " + "x" * 5000])
async def test_a_token_that_is_none_opens_nothing_not_even_what_a_cookie_would(
    plant: Plant, authorization: str
) -> None:
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    assert_problem(await anna.get("/api/v1/bays", authorization=authorization), 401, "unauthenticated")


async def test_a_token_that_was_ended_opens_nothing(plant: Plant) -> None:
    boss = await plant.browser_of("Boss", Role.ADMINISTRATOR)
    made = (await boss.ask("POST", "/api/v1/tokens", {"label": "erp", "scopes": ["view-rack"]})).json
    bearer = f"Bearer {made['token']}"
    assert (await ask(plant.port, "GET", "/api/v1/bays", authorization=bearer)).status == 200
    assert (await boss.ask("DELETE", f"/api/v1/tokens/{made['token_id']}")).status == 204
    assert_problem(await ask(plant.port, "GET", "/api/v1/bays", authorization=bearer), 401, "unauthenticated")
    (shown,) = (await boss.get("/api/v1/tokens")).json
    assert (shown["is_ended"], "token" in shown, "digest" in shown) == (True, False, False)


async def test_the_wall_looks_at_the_rack_and_does_nothing(plant: Plant) -> None:
    browser = Browser(plant.port)
    opened = await browser.get(f"/wall-screen?token={await plant.token(is_wall=True)}")
    assert (opened.status, opened.headers["location"]) == (303, "/")
    assert (await browser.get("/api/v1/bays")).status == 200
    assert (await browser.get("/api/v1/lots")).status == 403
    assert (await browser.ask("POST", "/api/v1/bays/A1/start", START)).status == 403
    assert plant.station.orders == []
    program = await plant.token(Permission.OPERATE)
    assert (await Browser(plant.port).get(f"/wall-screen?token={program}")).status == 403


# ---- who did it


async def test_what_people_do_bears_their_name_in_the_jobs_and_in_the_trail(plant: Plant) -> None:
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    await anna.ask("POST", "/api/v1/bays/A1/start", START)
    assert plant.station.operators == ["Anna"]
    await Browser(plant.port).sign_in("Anna", "a wrong password")
    boss = await plant.browser_of("Boss", Role.ADMINISTRATOR)
    await boss.ask("POST", "/api/v1/accounts", {"name": "Bo", "roles": ["clerk", "operator"]})
    deeds = (await boss.get("/api/v1/trail")).json
    told = [(deed["name"], deed["action"], deed["subject"], deed["status"]) for deed in deeds]
    for deed in (
        ("Anna", "sign-in", "", 201),
        ("Anna", "POST /api/v1/bays/A1/start", "", 202),
        ("Anna", "sign-in", "", 401),
        ("Boss", "add-account (operator, clerk)", "Bo", 201),
    ):
        assert deed in told
    assert PASSWORD not in str(deeds)
    of_anna = (await boss.get("/api/v1/trail?name=Anna")).json
    assert {deed["name"] for deed in of_anna} == {"Anna"}


async def test_an_address_that_cannot_be_printed_is_in_the_trail_too(plant: Plant) -> None:
    boss = await plant.browser_of("Boss", Role.ADMINISTRATOR)
    await boss.ask("POST", "/api/v1/lots/%1b/open", {})
    assert (await boss.get("/api/v1/trail")).json[-1]["action"] == "POST /api/v1/lots/\ufffd/open"


async def test_what_opens_a_customers_page_is_not_kept_in_the_trail(plant: Plant) -> None:
    otto = await plant.browser_of("Otto", Role.OPS)
    await otto.ask("POST", "/present/a-secret-of-the-customers/start", {})
    boss = await plant.browser_of("Boss", Role.ADMINISTRATOR)
    trail = (await boss.get("/api/v1/trail")).json
    assert "POST /present/…/start" in {deed["action"] for deed in trail}
    assert "a-secret" not in str(trail)


async def test_an_order_that_ended_in_a_fault_is_in_the_trail_too(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*, on: bool) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(plant.station, "drain", broken)
    ops = await plant.browser_of("Otto", Role.OPS)
    assert (await ops.ask("POST", "/api/v1/drain", {"on": True})).status == 500
    told = [(deed.name, deed.action, deed.status) for _, deed in await plant.books.trail.page()]
    assert told[-1] == ("Otto", "POST /api/v1/drain", 500)


async def test_what_was_typed_as_an_unknown_name_is_not_kept(plant: Plant) -> None:
    await Browser(plant.port).sign_in("my secret passphrase")
    ((_, deed),) = await plant.books.trail.page()
    assert (deed.name, deed.action, deed.status) == ("", "sign-in", 401)


async def test_nobody_but_root_at_the_socket_records_for_another(plant: Plant) -> None:
    ops = await plant.browser_of("Otto", Role.OPS)
    lot = {"lot_id": "L1", "policy": {"standard": "nist-clear"}}
    assert_problem(await ops.ask("POST", "/api/v1/lots", lot | {"operator": "Anna"}), 403, "forbidden")
    assert (await ops.ask("POST", "/api/v1/lots", lot)).status == 201


async def test_long_lists_come_in_pages(plant: Plant) -> None:
    boss = await plant.browser_of("Boss", Role.ADMINISTRATOR)
    for name in ("a", "b", "c"):
        await plant.hire(name, Role.OPERATOR)
    names: list[str] = []
    target = "/api/v1/accounts?limit=2"
    while target:
        answer = await boss.get(target)
        names += [account["name"] for account in answer.json]
        target = answer.exact.get("link", "").partition("<")[2].partition(">")[0]
    assert names == ["Boss", "a", "b", "c"]
    for wrong in ("limit=0", "limit=1001", "limit=x", "after=%00"):
        assert (await boss.get(f"/api/v1/accounts?{wrong}")).status in (400, 422)


async def test_every_answer_tells_the_browser_to_trust_this_station_alone(plant: Plant) -> None:
    for target in ("/sign-in", "/api/v1/bays", "/nothing", "/metrics"):
        headers = (await ask(plant.port, "GET", target)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize("path", ["/static/../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/..%2fetc/passwd"])
async def test_no_path_leads_out_of_the_pages(plant: Plant, path: str) -> None:
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    answer = await anna.get(path)
    assert answer.status in (400, 404)
    assert b"root:" not in answer.body


# ---- their pages


async def test_an_administrator_lets_people_in_and_out_by_a_page_alone(plant: Plant) -> None:
    boss = await plant.browser_of("Boss", Role.ADMINISTRATOR)
    token = boss.csrf_token
    made = await boss.post_form("/accounts", csrf_token=token, what="add", name="Anna <b>", role="operator")
    link = re.search(rb"/set-up\?link=([\w-]+)", made.body)
    assert (made.status, link is not None) == (200, True), made.body
    assert b"Anna &lt;b&gt;" in made.body and b"Anna <b>" not in made.body
    assert link is not None
    browser = Browser(plant.port)
    await browser.post_form("/set-up", link=link[1].decode(), password=PASSWORD)
    assert (await browser.post_form("/sign-in", name="Anna <b>", password=PASSWORD)).status == 303
    assert b"/account" in (await browser.get("/account")).body
    assert (await boss.post_form("/accounts", csrf_token=token, what="disable", name="Anna <b>")).status == 200
    assert (await browser.get("/api/v1/bays")).status == 401
    assert (await boss.post_form("/accounts", csrf_token=token, what="disable", name="Boss")).status == 409
    assert (await boss.post_form("/accounts", what="enable", name="Anna <b>")).status == 200  # the header had the token
    boss.csrf_token = ""
    assert (await boss.post_form("/accounts", what="disable", name="Anna <b>")).status == 403
    trail = (await boss.get("/trail")).body
    assert b"add-account (operator)" in trail and b"Anna &lt;b&gt;" in trail


async def test_one_changes_ones_password_on_a_page(plant: Plant) -> None:
    anna = await plant.browser_of("Anna", Role.OPERATOR)
    new = "another horse battery"
    wrong = await anna.post_form("/account/password", old="not this one", new=new)
    assert (wrong.status, b"the old password is wrong" in wrong.body) == (403, True)
    assert (await anna.post_form("/account/password", old=PASSWORD, new=new)).status == 303
    assert (await Browser(plant.port).sign_in("Anna", new)).status == 201


async def test_the_pages_before_signing_in_speak_chinese_too(plant: Plant) -> None:
    link = await plant.accounts.set_up_link()
    for target, words in (("/sign-in", "登录"), (f"/set-up?link={link}", "创建第一个账号")):
        page = await ask(plant.port, "GET", target, accept_language="zh-CN")
        assert words in page.body.decode()
        assert '<html lang="zh-CN"' in page.body.decode()


# ---- large bodies


async def test_files_that_anybody_sends_take_only_so_much_memory(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MAX_LARGE_BODIES", 1)
    large = b"x" * (access.MAX_BODY_BYTES + 1)
    _, writer = await connect(plant.port)
    writer.write(b"POST /check HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\n\r\n" + large)
    await writer.drain()
    async with asyncio.timeout(30):
        while (answer := await ask(plant.port, "POST", "/check", large)).status != 503:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # what was sent has not been read yet
    assert_problem(answer, 503, "busy")
    assert (await ask(plant.port, "POST", "/check", b"small")).status != 503
    clerk = await plant.browser_of("Clara", Role.CLERK)
    order = {"lot_id": "L1", "policy": {"standard": "random"}, "supplier": "x", "operator": " " * len(large)}
    assert (await clerk.ask("POST", "/api/v1/lots", order)).status != 503  # nobody keeps those out who are known
    writer.close()
    async with asyncio.timeout(30):
        while (await ask(plant.port, "POST", "/check", large)).status == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_lot_of_many_thousand_drives_is_described_by_whoever_may_and_nobody_else_sends_as_much(
    plant: Plant,
) -> None:
    serials = [f"SN{number:010}" for number in range(20_000)]
    order = {"lot_id": "L1", "policy": {"standard": "random"}, "expected_serials": serials}
    clerk = await plant.browser_of("Clara", Role.CLERK)
    assert (await clerk.ask("POST", "/api/v1/lots", order)).status == 201
    assert (await clerk.get("/api/v1/lots/L1")).json["lot"]["expected_serials"] == serials
    del order["lot_id"]
    assert (await clerk.ask("PUT", "/api/v1/lots/L1", order)).json["revision"] == 2
    auditor = await plant.browser_of("Ada", Role.AUDITOR)
    for answer in (
        await auditor.ask("PUT", "/api/v1/lots/L1", order),
        await ask(plant.port, "PUT", "/api/v1/lots/L1", order),
    ):
        assert_problem(answer, 413, "too-large")
        assert "split into several lots" in answer.json["remedy"]


async def test_only_who_is_signed_in_imports_lists(plant: Plant) -> None:
    large = b"x" * (access.MAX_BODY_BYTES + 1)
    target = "/api/v1/lots/L1/expected/import"
    assert_problem(await ask(plant.port, "POST", target, large), 413, "too-large")
    ops = await plant.browser_of("Otto", Role.OPS)
    assert (await ops.ask("POST", target, large)).status != 413
    assert_problem(await ops.ask("POST", target, b"x" * (access.MAX_IMPORT_BYTES + 1)), 413, "too-large")
