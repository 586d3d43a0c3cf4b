"""Settings as operators write them: what is taken, and the one line that says what is wrong."""

from __future__ import annotations

import pytest

from service.settings import WrongSettings, load_settings


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("redis_url", "redis://h:abc/0", "must be like redis://"),
        ("redis_url", "redis://h:99999/0", "must be like redis://"),
        ("redis_url", "redis://h/zero", "must be like redis://"),
        ("redis_url", "redis://h/0?db=zero", "must be like redis://"),
        ("redis_url", "redis://[h/0", "must be like redis://"),
        ("redis_url", "http://h", "must be like redis://"),
        ("redis_url", "unix://", "must be like redis://"),
        ("redis_url", "unix://relative/valkey.sock", "must be like redis://"),
        ("clickhouse_dsn", "clickhouse://h:abc/x", "ort"),
        ("clickhouse_dsn", "clickhouse://h:99999/x", "ort"),
        ("clickhouse_dsn", "clickhouse:///x", "names no host"),
        ("clickhouse_dsn", "chdb://", "needs a folder"),
        ("trusted_proxies", "garbage", "'garbage' does not appear to be an IPv4 or IPv6 network"),
        ("trusted_proxies", "10.0.0.0/8, 10.1.2.3/8", "10.1.2.3/8 has host bits set"),
        ("trusted_proxies", "127.0.0.1,", "'' does not appear to be"),
        ("trusted_proxies", "*,127.0.0.1", "* alone"),
        ("port", "70000", "less than or equal to 65535"),
        ("api_open", "maybe", "should be a valid boolean"),
        ("api_open", "false", "is not built yet"),
        ("clickhouse_cluster", "main", "is not built yet"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, words: str
) -> None:
    variable = f"READERSHIP_{name.upper()}"
    monkeypatch.setenv(variable, text)
    with pytest.raises(WrongSettings) as wrong:
        load_settings()
    line = str(wrong.value)
    assert line.startswith(f"{variable}: ")
    assert words in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("redis_url", "redis://h"),
        ("redis_url", "redis://h:6379/"),
        ("redis_url", "rediss://user:p%2Fw@h:6380/3"),
        ("redis_url", "redis://[::1]:6379/0"),
        ("redis_url", "unix:///run/valkey.sock?db=2"),
        ("trusted_proxies", "*"),
        ("trusted_proxies", "127.0.0.1, 10.0.0.0/8,::1,fd00::/8"),
    ],
)
def test_what_is_right_is_taken_as_written(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(f"READERSHIP_{name.upper()}", text)
    assert getattr(load_settings(), name) == text


def test_a_password_cut_by_a_slash_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READERSHIP_REDIS_URL", "redis://user:secret/word@h:6379/0")
    with pytest.raises(WrongSettings) as wrong:
        load_settings()
    assert "secret" not in str(wrong.value)


def test_the_command_line_stands_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READERSHIP_PORT", "1")
    assert load_settings(port=2).port == 2
    assert load_settings(port=None).port == 1


@pytest.mark.parametrize(
    ("given", "works"),
    [
        ({}, True),
        ({"redis_url": "redis://h/0"}, True),  # nobody else can open its ClickHouse
        ({"clickhouse_dsn": "clickhouse://h/d"}, True),  # nor its Valkey
        ({"redis_url": "redis://h/0", "clickhouse_dsn": "clickhouse://h/d"}, False),
        ({"redis_url": "redis://h/0", "clickhouse_dsn": "clickhouse://h/d", "worker": True}, True),
        ({"worker": False}, False),
    ],
)
def test_a_service_does_its_jobs_where_no_other_can(given: dict[str, str | bool], works: bool) -> None:
    assert load_settings(**given).works is works
