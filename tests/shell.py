"""The command line in this process: what it was told, what it said, what it left."""

import contextlib
import io
import json

import pytest

from depojax.cli import main


def said(*words):
    """Exit code, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


def ran_in(home, command, text):
    """A cell file run in a folder of its own: its run folder, summary and stderr.

    For fixtures of a module, which the fixture `own_folders` of a test comes too late
    for.
    """
    (home / "cell.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        code, out, err = said(
            command, home / "cell.toml", "--out", home / "run", "--json"
        )
    assert code == 0, err
    return home / "run", json.loads(out), err
