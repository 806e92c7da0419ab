"""Errors before the page is served."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pn_diffusion_plugin.apps.serve.server import listen
from pn_diffusion_plugin.errors import UserError


def test_a_free_port_is_found_and_one_in_use_is_an_error() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert port > 0
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1 port {port} .*give another --port"):
            listen("127.0.0.1", port)
    with listen("::1", 0) as other:
        assert other.getsockname()[1] > 0


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(UserError, match="cannot listen on 192.0.2.1 port 80"):
        listen("192.0.2.1", 80)


def test_without_gradio_the_error_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['gradio'] = None; sys.argv = ['pn-diffusion', 'serve', '--port', '0'];"
        "from pn_diffusion_plugin.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "error: the web page needs gradio, which is not installed: pip install 'pn-diffusion-plugin[serve]'"
    )


def test_a_call_of_the_page_may_end_while_a_job_imports_pyplot() -> None:
    code = (
        "import sys, types; from pn_diffusion_plugin.apps.serve.server import import_gradio; import_gradio();"
        "from gradio.utils import MatplotlibBackendMananger as AroundEachCall; call = AroundEachCall();"
        "call.__enter__(); sys.modules['matplotlib.pyplot'] = types.ModuleType('matplotlib.pyplot');"
        "call.__exit__(None, None, None)"
    )
    environment = {**os.environ, "MPLBACKEND": "Agg"}  # any but Gradio's own "agg"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
