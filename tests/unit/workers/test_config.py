"""Configuration: where each value comes from, all mistakes at once, nothing secret on a screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.config import ConfigError, load, shown


def test_everything_lives_in_one_data_directory_by_default(tmp_path: Path) -> None:
    settings = load({"BACKSTAY_DATA_DIR": str(tmp_path)})
    assert settings.database_url == f"sqlite:///{tmp_path}/backstay.db"
    assert settings.broker_url == f"spool://{tmp_path}/spool"
    assert settings.store_url == f"file://{tmp_path}/store"
    assert settings.apps_root == f"{tmp_path}/apps"


def of_file(tmp_path: Path) -> dict[str, str]:
    """An environment whose configuration file names the data directory `moved`."""
    (tmp_path / "backstay.toml").write_text(f'data_dir = "{tmp_path}/moved"\n')
    return {"BACKSTAY_CONFIG": str(tmp_path / "backstay.toml"), "XDG_DATA_HOME": str(tmp_path)}


def test_everything_lives_in_the_data_directory_that_the_file_names(tmp_path: Path) -> None:
    settings, home = load(of_file(tmp_path)), f"{tmp_path}/moved"
    assert settings.database_url == f"sqlite:///{home}/backstay.db"
    assert (settings.broker_url, settings.store_url) == (f"spool://{home}/spool", f"file://{home}/store")
    assert (settings.data_dir, settings.apps_root) == (home, f"{home}/apps")


def test_what_release_0_1_kept_elsewhere_is_not_left_behind_without_a_word(tmp_path: Path) -> None:
    """It looked for the database where it is without a file: a new one beside it would seem to have lost everything."""
    environ, old = of_file(tmp_path), tmp_path / "backstay"
    (old / "spool").mkdir(parents=True)
    (old / "backstay.db").touch()
    with pytest.raises(ConfigError, match=f"moved lacks backstay.db, spool, which {old} has"):
        load(environ)
    with pytest.raises(ConfigError, match="lacks spool, which"):
        load(environ | {"DATABASE_URL": f"sqlite:///{old}/backstay.db"})
    old.rename(tmp_path / "moved")
    assert load(environ).data_dir == f"{tmp_path}/moved"


def test_a_data_directory_without_a_name_is_a_mistake_like_others(tmp_path: Path) -> None:
    (tmp_path / "backstay.toml").write_text('data_dir = ""\nthreads = "many"\n')
    with pytest.raises(ConfigError) as refusal:
        load({"BACKSTAY_CONFIG": str(tmp_path / "backstay.toml"), "XDG_DATA_HOME": str(tmp_path)})
    assert len(refusal.value.problems) == 2


def test_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "backstay.toml").write_text('node = "from-file"\nthreads = 9\n')
    settings = load({"BACKSTAY_DATA_DIR": str(tmp_path), "BACKSTAY_NODE": "from-env"})
    assert (settings.node, settings.threads, settings.processes) == ("from-env", 9, 1)
    assert settings.origins["node"] == "environment BACKSTAY_NODE"
    assert settings.origins["threads"] == f"file {tmp_path}/backstay.toml"
    assert settings.origins["processes"] == "default"


def test_a_command_line_option_beats_the_environment(tmp_path: Path) -> None:
    settings = load({"BACKSTAY_DATA_DIR": "/nowhere"}, data_dir=str(tmp_path))
    assert settings.data_dir == str(tmp_path)
    assert settings.origins["data_dir"] == "command line"


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "backstay.toml").write_text("treads = 9\n")
    with pytest.raises(ConfigError) as refusal:
        load({"BACKSTAY_DATA_DIR": str(tmp_path), "DATABASE_URL": "mysql://x", "BACKSTAY_THREADS": "many"})
    text = "\n".join(refusal.value.problems)
    assert "DATABASE_URL" in text and "BACKSTAY_THREADS" in text and "'treads'" in text


def test_a_shared_database_needs_a_shared_key_ring() -> None:
    with pytest.raises(ConfigError, match="BACKSTAY_SECRET_KEYS"):
        load({"DATABASE_URL": "postgresql://db/backstay"})


def test_passwords_and_keys_are_masked_when_shown() -> None:
    settings = load(
        {
            "DATABASE_URL": "postgresql://user:pa55word@db/backstay",
            "BROKER_URL": "amqp://guest:s3cret@mq//",
            "BACKSTAY_SECRET_KEYS": "k1:c2VjcmV0",
        }
    )
    text = repr(shown(settings))
    assert "user:********@db" in text
    assert not {"pa55word", "s3cret", "c2VjcmV0"} & {
        part for part in ("pa55word", "s3cret", "c2VjcmV0") if part in text
    }


def test_a_named_file_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        load({"BACKSTAY_CONFIG": str(tmp_path / "missing.toml")})


def test_a_switch_is_shown_in_the_words_in_which_it_is_set() -> None:
    shown_by_name = {name: text for name, text, _, _ in shown(load({"BACKSTAY_ENCRYPTION": "off"}))}
    assert shown_by_name["BACKSTAY_ENCRYPTION"] == "off"
