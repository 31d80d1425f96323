"""Open a page in headless Chromium, move the mouse over its first figure, and tell what happened."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

WATCH = """<script>
window.probe = {problems: []};
window.addEventListener('error', e => probe.problems.push('error: ' + e.message));
window.addEventListener('unhandledrejection', e => probe.problems.push('rejection: ' + e.reason));
document.addEventListener('securitypolicyviolation', e => probe.problems.push('blocked: ' + e.blockedURI));
for (const level of ['error', 'warn']) {
  const report = console[level];
  console[level] = (...words) => { probe.problems.push(level + ': ' + words.join(' ')); report.apply(console, words); };
}
</script>"""

HOVER = """<script>
function finish() {
  const plot = document.getElementById('figure-1');
  if (plot) {
    probe.hover = plot.querySelector('.hoverlayer').textContent;
    const boxes = [...plot.querySelectorAll('.scatterlayer path.js-line')].map(path => path.getBoundingClientRect());
    probe.curves = boxes.map(box => [box.width, box.height]);
  }
  probe.requests = performance.getEntriesByType('resource').map(entry => entry.name);
  probe.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const output = document.createElement('pre');
  output.id = 'probe';
  output.textContent = JSON.stringify(probe);
  document.body.append(output);
}
setTimeout(() => {
  const plot = document.getElementById('figure-1');
  if (plot) {
    const area = plot.querySelector('.nsewdrag'), box = area.getBoundingClientRect();
    const place = {clientX: box.left + plot._fullLayout.xaxis.c2p(HOVER_AT), clientY: box.top + 50, bubbles: true};
    for (const kind of ['mouseover', 'mousemove']) area.dispatchEvent(new MouseEvent(kind, place));
  }
  setTimeout(finish, 500);
}, 500);
</script>"""

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=10000",
]


def probe_page(page: Path, folder: Path, *, hover_at: float, width: int = 1100) -> dict[str, Any]:
    """What a copy of the page did: problems, curves as [width, height], hover text, requests, horizontal overflow."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not on PATH: the page is not checked in a browser")
    text = page.read_text(encoding="utf-8")
    text = text.replace("<style>", WATCH + "<style>", 1)
    text = text.replace("</body>", HOVER.replace("HOVER_AT", str(hover_at)) + "</body>")
    copy = folder / "probe.html"
    copy.write_text(text, encoding="utf-8")
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [chromium, *FLAGS, profile, f"--window-size={width},900", "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, f"the page did not finish: {done.stderr[-1000:]}"
    probe: dict[str, Any] = json.loads(unescape(found.group(1)))
    probe["console"] = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return probe
