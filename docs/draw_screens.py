# ruff: noqa: INP001 - a script beside the pages, not a package
"""Draws docs/img/report.png and docs/img/explore.png: the report and the explorer of the demo's run.

make demo && PYTHONPATH=. .venv/bin/python docs/draw_screens.py

Needs every extra (make setup) and a Chromium. Of the report only the beginning of each part is shown.
"""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from poisonscan.config import DecodeSettings
from poisonscan.explorer.server import opened
from tests.browser import browsing

if TYPE_CHECKING:
    from tests.browser import Tab

RUN = Path("demo-out") / "check"
IMAGES = Path(__file__).parent / "img"
REPORT = (1062, 800)
EXPLORER = (1290, 690)
SHORTENED = """
    const hide = selector => document.querySelectorAll(selector).forEach(part => part.style.display = 'none');
    hide('.legend p, .legend .meaning, #domains ~ .scroll, .finding ~ .finding, .card:nth-child(n + 3)');
    hide('footer');
    hide('section[aria-labelledby=coverage], section[aria-labelledby=provenance], .next');
    document.querySelectorAll('main > section').forEach(part => part.style.marginTop = '34px');
    document.querySelector('main').style.padding = '16px';
    const manifest = document.querySelector('.meta bdi');
    manifest.textContent = manifest.textContent.replace(/^.*(?=data_samples)/, '');
"""
CHOSEN = (
    "document.querySelectorAll('.sheet input[type=checkbox]').forEach((box, n) => n % 3 == 1 && box.click())"
)


async def main() -> None:
    """Write both pictures."""
    async with browsing() as browser, browser.tab() as tab:
        await tab.dress(*REPORT)
        await tab.go((RUN / "report.html").absolute().as_uri())
        await tab.value(f"(() => {{ {SHORTENED} }})()")
        await shoot(tab, IMAGES / "report.png", REPORT[0], await tab.value("document.body.offsetHeight"))
        with opened(RUN, None, 0, DecodeSettings()) as explorer, explorer.in_thread() as address:
            await tab.dress(*EXPLORER)
            await tab.go(address)
            await tab.until("document.querySelector('.finding')")
            await tab.go(f"{address.partition('?')[0]}rows?finding=footprint-0001")
            await tab.until("document.querySelector('.sheet')")
            await tab.until("[...document.images].every(image => image.complete)")
            await tab.value(CHOSEN)
            await shoot(tab, IMAGES / "explore.png", *EXPLORER)


async def shoot(tab: Tab, path: Path, width: int, height: int) -> None:
    """Write the beginning of the page as a small PNG."""
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    told = await tab.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    picture = Image.open(io.BytesIO(base64.b64decode(told["data"]))).convert("RGB")
    palette = picture.quantize(256, method=Image.Quantize.MEDIANCUT)
    picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(main())
