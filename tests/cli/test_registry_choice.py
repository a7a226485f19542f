"""Where the registry is, is the operator's choice: an SQLite file in the data folder, or a database by its URL."""

import os
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from meterspan.mdm import MeterDataManagement, open_stores
from meterspan.model.storage.errors import StorageError
from meterspan.quantities import Commodity
from meterspan.runtime.config import read_config
from meterspan.runtime.declared import ConfigError
from tests.cli.test_serve import until, write_config
from tests.helpers_bench import run, running_meter
from tests.helpers_serve import running

POSTGRESQL = os.environ.get("MESP_TEST_POSTGRESQL", "")
NO_POSTGRESQL = pytest.mark.skipif(not POSTGRESQL, reason="MESP_TEST_POSTGRESQL names no database")
TABLE = """device;obis;time;value;unit
E1;1-0:1.8.0;2026-03-01T00:00:00Z;10;kWh
E1;1-0:1.8.0;2026-03-02T00:00:00Z;12;kWh
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=NO_POSTGRESQL)])
def url(request, tmp_path):
    """An empty database that is no file of the data folder."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"
    engine = sa.create_engine(POSTGRESQL)
    with engine.begin() as connection:
        connection.execute(sa.text("drop schema public cascade"))
        connection.execute(sa.text("create schema public"))
    engine.dispose()
    return POSTGRESQL


def tables_of(url):
    engine = sa.create_engine(url)
    try:
        return set(sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_a_meter_is_read_into_the_chosen_database_and_is_known_after_a_restart(tmp_path, url):
    with running_meter(tmp_path, "--wrapper", "0", "--history", "1d") as meter:
        config = write_config(tmp_path, (meter.name, meter.place("wrapper")), more=f'registry = "{url}"')
        with running(tmp_path, "serve", str(config)) as server:
            until(lambda: [item for item in server.get("/api/v1/operator/meters") if item["received"]])
    assert not (tmp_path / "central" / "data" / "registry.sqlite").exists()
    stores = partial(open_stores, registry=url)
    with MeterDataManagement(tmp_path / "central" / "data", stores=stores) as data:
        assert [home.home_id for home in data.homes()] == ["home-1"]
        assert {item.device for item in data.series()} == {meter.name}


def test_check_reaches_the_database_and_leaves_it_empty(tmp_path, url):
    (tmp_path / "keys.toml").touch(0o600)
    config = write_config(tmp_path, more=f'registry = "{url}"')
    result = run(tmp_path, "serve", str(config), "--check")
    assert (result.returncode, tables_of(url)) == (0, set()), result.stderr
    assert not (tmp_path / "central").exists()


def test_check_says_that_a_database_cannot_be_reached(tmp_path):
    (tmp_path / "keys.toml").touch(0o600)
    config = write_config(tmp_path)
    result = run(
        tmp_path, "serve", str(config), "--check", "--registry", f"sqlite:///{tmp_path}/no/such/folder/x.sqlite"
    )
    assert result.returncode == 2
    assert "registry: " in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("meterspan", "is not a database URL"),
        ("mysql://db.example/x", "mysql is not known here; use sqlite or postgresql"),
        ("postgresql+nosuchdriver://db.example/x", "needs a driver"),
        ("postgresql+pg8000://db.example/x", "install it beside meterspan"),
    ],
)
def test_a_registry_that_cannot_be_is_a_fault_of_the_configuration(text, words):
    with pytest.raises(ConfigError, match="registry") as caught:
        read_config(f'data = "d"\nregistry = "{text}"\n')
    assert words in str(caught.value)


def test_a_folder_keeps_to_the_registry_that_it_began_with(tmp_path, url):
    first, second = tmp_path / "first", tmp_path / "second"
    for registry, folder in ((url, first), ("", second)):
        for store in open_stores(folder, registry=registry):
            store.close()
    for registry, folder in (("", first), (f"sqlite:///{tmp_path / 'third.sqlite'}", first), (url, second)):
        with pytest.raises(StorageError, match="its registry is"):
            open_stores(folder, registry=registry)
    assert not (first / "registry.sqlite").exists()
    for store in open_stores(first, registry=url):
        store.close()


def test_the_note_of_the_registry_holds_neither_user_nor_password(tmp_path):
    with pytest.raises(StorageError):
        open_stores(tmp_path / "a", registry=f"sqlite:///{tmp_path}/no/such/folder/x.sqlite")
    assert not (tmp_path / "a" / "registry.url").exists(), "a database that did not open is not the folder's"
    if POSTGRESQL:
        for store in open_stores(tmp_path / "b", registry=POSTGRESQL):
            store.close()
        assert "@" not in (tmp_path / "b" / "registry.url").read_text()


def test_import_and_export_find_the_chosen_registry(tmp_path, url):
    table, out = tmp_path / "in.csv", tmp_path / "out.csv"
    table.write_text(TABLE)
    place = ("--data", str(tmp_path / "folder"), "--registry", url)
    assert run(tmp_path, "import", str(table), "--home", "h1", *place).returncode == 0
    assert run(tmp_path, "export", str(out), "--home", "h1", *place).returncode == 0
    assert len(out.read_text().splitlines()) == 3
    refused = run(tmp_path, "export", str(out), "--data", str(tmp_path / "folder"))
    assert refused.returncode == 2
    assert "its registry is" in refused.stderr


def test_the_data_management_settles_into_the_chosen_registry(tmp_path, url):
    with MeterDataManagement(tmp_path / "data", stores=lambda folder: open_stores(folder, registry=url)) as data:
        data.register_home("h1", "Elm Street 1", zone="UTC")
        start = datetime(2026, 3, 1, tzinfo=UTC)
        data.install_meter("h1", "MP1", device="E1", commodity=Commodity.ELECTRICITY, at=start)
        data.maintain(start + timedelta(days=3))
        assert [point.usage_point for home in data.homes() for point in home.usage_points] == ["MP1"]
