"""What is told before a page can be served."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.serve.server import listen


def test_a_free_port_is_found_and_one_in_use_is_told() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert port > 0
        with pytest.raises(
            UserError, match=f"nothing can listen on 127.0.0.1 port {port} .*give another --port"
        ):
            listen("127.0.0.1", port)
    with listen("::1", 0) as other:
        assert other.getsockname()[1] > 0


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(UserError, match="nothing can listen on 192.0.2.1 port 80"):
        listen("192.0.2.1", 80)


def test_without_gradio_it_is_said_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['gradio'] = None; sys.argv = ['pn-diffusion', 'serve', '--port', '0'];"
        "from pn_diffusion_plugin.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "error: the web page needs gradio, which is not installed: pip install 'pn-diffusion-plugin[serve]'"
    )
