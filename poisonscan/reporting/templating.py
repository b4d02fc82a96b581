"""Templates for texts that strangers wrote: all is escaped, what is invisible is shown, no URL is live."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from poisonscan._version import __version__
from poisonscan.records import Group
from poisonscan.reporting import text, words


def environment(package: str) -> Environment:
    """Jinja for the templates of a package, with the filters through which every foreign text must pass.

    An undefined name is an error, so that no page says nothing where it should say something.

    Args:
        package: dotted name; its templates lie in `templates/` beside it.
    """
    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "shown": text.shown,
        "excerpt": text.excerpt,
        "defang": text.defang,
        "defang_domain": text.defang_domain,
        "defang_schemes": text.defang_schemes,
        "number": lambda value: f"{value:,}",
    }
    made.globals |= {
        "version": __version__,
        "Group": Group,
        "VERDICT_SENTENCES": words.VERDICT_SENTENCES,
    }
    return made
