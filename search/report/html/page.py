"""The frame of a self-contained page: no network, no script, light and dark, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from ....evaluators.formatting import printable

_STYLE = """
:root{color-scheme:light dark;--paper:#fdfcfa;--ink:#1d2126;--soft:#5f6670;--line:#ddd9d2;
--panel:#f4f2ed;--blue:#1f5fae;--orange:#b85410;--dot:#9aa1ab;--good:#17703f;--bad:#b3261e;
--good-back:#dff2e5;--bad-back:#fbe4e1}
@media(prefers-color-scheme:dark){:root{--paper:#15181c;--ink:#e6e4df;--soft:#a1a7b0;--line:#363b42;
--panel:#1e2227;--blue:#7fb3f5;--orange:#f2a25c;--dot:#8b94a1;--good:#7fd6a0;--bad:#f59a90;
--good-back:#173424;--bad-back:#40211f}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1.25rem 4rem;max-width:56rem;background:var(--paper);
color:var(--ink);font:1rem/1.55 system-ui,sans-serif;overflow-wrap:break-word}
h1{font-size:1.05rem;font-weight:600;color:var(--soft);margin:0 0 .5rem}
h2{font-size:1.25rem;margin:2.75rem 0 .6rem;line-height:1.3}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
p{margin:.6rem 0;max-width:44rem}
.conclusion{font-size:1.4rem;line-height:1.35;font-weight:600;margin:.25rem 0 .75rem}
.note,figcaption,.caveat{color:var(--soft);font-size:.92rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.86rem}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.75rem .9rem;
overflow-x:auto;line-height:1.5;margin:.6rem 0;overflow-wrap:normal}
.wide{overflow-x:auto;margin:.75rem 0}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;min-width:100%}
th,td{text-align:left;padding:.35rem .9rem .35rem 0;border-bottom:1px solid var(--line);
vertical-align:middle;white-space:nowrap}
th{font-weight:600;color:var(--soft)}
td.n,th.n{text-align:right}
tbody th{color:var(--ink);padding-top:1rem}
@media(max-width:32rem){body{padding:1.25rem 1rem 3rem}.conclusion{font-size:1.2rem}
th,td{padding-right:.65rem}}
tr.chosen td{font-weight:650}
tr.opened td{border-bottom:0;padding-bottom:0}
tr.inside td{padding-top:0;white-space:normal}
ul{margin:.4rem 0;padding-left:1.3rem;font-size:.92rem}
details summary{cursor:pointer;color:var(--soft);font-size:.88rem}
.good{color:var(--good)}.bad{color:var(--bad)}.soft{color:var(--soft)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem 1.5rem;
margin:.75rem 0}
dt{color:var(--soft);font-size:.88rem}
dd{margin:0;font-size:1.2rem;font-variant-numeric:tabular-nums}
dd small{font-size:.85rem;color:var(--soft)}
"""


def text(value: object) -> str:
    """Text escaped for HTML, also within a quoted attribute."""
    return escape(printable(str(value)))


def page(title: str, body: Iterable[str], style: str = "") -> str:
    """A whole page.

    Args:
      title: plain text.
      body: HTML that is safe already. style: further CSS.
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>",
            f"<style>{_STYLE}{style}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def section(title: str, *body: str) -> str:
    """A heading and a body of HTML that is safe already."""
    return "\n".join(["<section>", f"<h2>{text(title)}</h2>", *body, "</section>"])


def paragraph(words: str, css: str = "") -> str:
    """A paragraph of plain text; `commands` become code, and " %" does not wrap."""
    inner = re.sub("`([^`]+)`", r"<code>\1</code>", text(words))
    inner = inner.replace(" %", "\N{NO-BREAK SPACE}%")
    return f'<p class="{css}">{inner}</p>' if css else f"<p>{inner}</p>"


def code_block(source: str) -> str:
    """Program text, commands or configuration."""
    return f"<pre><code>{text(source.rstrip())}</code></pre>"


def bullets(items: Sequence[str], most: int) -> str:
    """A list of plain text; folded if it is longer than `most`."""
    inner = "".join(f"<li>{text(item)}</li>" for item in items)
    listed = f"<ul>{inner}</ul>"
    return listed if len(items) <= most else folded(f"all {len(items):,}", listed)


def folded(title: str, inner: str, *, open: bool = False) -> str:
    """A title that unfolds HTML, which is safe already."""
    return (
        f"<details{' open' if open else ''}><summary>{text(title)}</summary>\n{inner}\n</details>"
    )


def table(head: Sequence[str], rows: Iterable[str], numeric: Iterable[int] = ()) -> str:
    """A table that scrolls sideways on a narrow screen.

    Args:
      head: column titles, plain text. rows: `row(...)`s. numeric: columns aligned to the right.
    """
    right = set(numeric)
    cells = "".join(
        f'<th scope="col"{_class(i in right)}>{text(title)}</th>' for i, title in enumerate(head)
    )
    lines = [f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>', *rows]
    return "\n".join([*lines, "</tbody></table></div>"])


def row(cells: Sequence[str], numeric: Iterable[int] = (), css: str = "") -> str:
    """A table row of cells that are HTML and safe already."""
    right = set(numeric)
    inner = "".join(f"<td{_class(i in right)}>{cell}</td>" for i, cell in enumerate(cells))
    return f'<tr class="{css}">{inner}</tr>' if css else f"<tr>{inner}</tr>"


def wide_row(cell: str, columns: int, css: str = "") -> str:
    """A table row that is one cell of HTML, safe already."""
    return f'<tr class="{css}"><td colspan="{columns}">{cell}</td></tr>'


def row_group(title: str, columns: int) -> str:
    """A row with a title for the rows below it."""
    return f'<tr><th scope="rowgroup" colspan="{columns}">{text(title)}</th></tr>'


def _class(numeric: bool) -> str:
    return ' class="n"' if numeric else ""
