"""A document as one HTML file that needs nothing else: styles, charts and images are inside, scripts are none."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from dirigent.core.documents import Document, Grid, Made
from dirigent.documents.blocks import (
    Block,
    Code,
    Cut,
    Figure,
    Heading,
    Listing,
    Matrix,
    Paragraph,
    Quotation,
    Rule,
    Run,
    Runs,
)
from dirigent.documents.cells import cells_of, worded
from dirigent.documents.charts import drawn
from dirigent.documents.looks import BORDER, INK, MUTED, SUNKEN, WORDS
from dirigent.documents.markdown import blocks_of

__all__ = ["made"]

_STYLE = """
:root{--ink:%(ink)s;--muted:%(muted)s;--border:%(border)s;--sunken:%(sunken)s;--accent:%(accent)s}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);background:#fff;font:15px/1.55 Inter,system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:50rem;margin:0 auto;padding:2.5rem 1.5rem 4rem;overflow-wrap:break-word;hyphens:auto}
header{display:flex;justify-content:space-between;align-items:end;gap:1rem;border-bottom:2px solid var(--accent);
padding-bottom:.6rem;margin-bottom:1.8rem;color:var(--accent);font-weight:600}
header img{max-height:3.4rem;max-width:13rem}
h1,h2,h3,h4{line-height:1.25;margin:2rem 0 .5rem;letter-spacing:-.01em;hyphens:manual;break-after:avoid}
h1{font-size:1.45rem;color:var(--accent)}h2{font-size:1.2rem;color:var(--accent)}h3{font-size:1.05rem}h4{font-size:1rem}
.title{font-size:1.9rem;color:var(--ink);margin:0 0 .2rem}
.subtitle{color:var(--muted);font-size:1.05rem;margin:0 0 .6rem}
p{margin:.6rem 0}ul,ol{padding-left:1.5rem;margin:.5rem 0}li{margin:.2rem 0}li>p{margin:.2rem 0}
a{color:var(--accent)}blockquote{margin:1rem 0;padding:.1rem 0 .1rem 1rem;border-left:3px solid var(--accent)}
code{font:.9em ui-monospace,"Cascadia Code",Menlo,monospace;background:var(--sunken);padding:.1em .3em;
border-radius:4px}
pre{background:var(--sunken);padding:.8rem 1rem;border-radius:6px;overflow-x:auto}pre code{padding:0;background:none}
hr{border:0;border-top:1px solid var(--border);margin:1.5rem 0}
figure{margin:1.4rem 0;overflow-x:auto;break-inside:avoid}figure img{max-width:100%%;height:auto;display:block}
.chart img{width:100%%;min-width:34rem}
figcaption{color:var(--muted);font-size:.85rem;margin-top:.35rem}
figcaption.above{color:var(--ink);font-weight:600;margin:0 0 .35rem}
table{border-collapse:collapse;width:100%%;font-size:.9rem;font-variant-numeric:tabular-nums;hyphens:auto}
th,td{padding:.45rem .6rem;border-bottom:1px solid var(--border);text-align:left;vertical-align:top}
th{background:var(--sunken);color:var(--muted);font-weight:600}
.n{text-align:right;white-space:nowrap}tfoot td{font-weight:600;background:var(--sunken)}
.facts{display:flex;flex-wrap:wrap;gap:.2rem 1.6rem;margin:0 0 1.2rem;font-size:.9rem}.facts dt{color:var(--muted)}
.facts div{display:flex;gap:.4rem}.facts dd{margin:0}
address{font-style:normal;margin:0 0 1.4rem;white-space:pre-line}
footer{border-top:1px solid var(--border);margin-top:3rem;padding-top:.7rem;color:var(--muted);font-size:.8rem;
white-space:pre-line}
.cut{break-after:page}
@page{margin:20mm 18mm}@media print{main{max-width:none;padding:0}thead{display:table-header-group}
tr{break-inside:avoid}
.cut{height:0}}
"""


def made(document: Document) -> Made:
    """The document as HTML."""
    page = _Page(document)
    return Made(page.whole().encode(), "text/html; charset=utf-8", "html", None, tuple(page.notes))


class _Page:
    """Writes blocks as HTML; every text is escaped, wherever it comes from."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.notes: list[str] = []

    def whole(self) -> str:
        document, style = self.document, self.document.style
        colours = {"ink": INK, "muted": MUTED, "border": BORDER, "sunken": SUNKEN, "accent": style.colour}
        title = escape(document.title or style.company or "Dirigent")
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        return (
            f'<!doctype html>\n<html lang="{document.language}">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            f"<title>{title}</title>\n<style>{_STYLE % colours}</style>\n</head>\n<body>\n<main>\n"
            f"{self._head()}{self.blocks(blocks_of(document.markdown))}{self._foot()}</main>\n</body>\n</html>\n"
        )

    def _head(self) -> str:
        document, style = self.document, self.document.style
        logo = self._image(document.images["logo"], style.company) if "logo" in document.images else ""
        parts = [f"<header><span>{escape(style.company)}</span>{logo}</header>\n"] if style.company or logo else []
        if document.to:
            parts.append(f"<address>{escape(chr(10).join(document.to))}</address>\n")
        if document.title:
            parts.append(f'<h1 class="title">{escape(document.title)}</h1>\n')
        if document.subtitle:
            parts.append(f'<p class="subtitle">{escape(document.subtitle)}</p>\n')
        if document.facts:
            items = "".join(
                f"<div><dt>{escape(str(name))}</dt><dd>{escape(worded(value, document.language))}</dd></div>"
                for name, value in document.facts.items()
            )
            parts.append(f'<dl class="facts">{items}</dl>\n')
        return "".join(parts)

    def _foot(self) -> str:
        style = self.document.style
        lines = [" · ".join((*style.address, *style.contact)), style.footer]
        text = "\n".join(filter(None, lines))
        return f"<footer>{escape(text)}</footer>\n" if text else ""

    def blocks(self, blocks: Sequence[Block]) -> str:
        return "".join(self._block(block) for block in blocks)

    def _block(self, block: Block) -> str:
        match block:
            case Heading(level=level, runs=runs):
                return f"<h{level}>{_inline(runs)}</h{level}>\n"
            case Paragraph(runs=runs):
                return f"<p>{_inline(runs)}</p>\n"
            case Listing(items=items, start=start):
                inner = "".join(f"<li>{self._item(item)}</li>\n" for item in items)
                opening = "<ul>" if start is None else "<ol>" if start == 1 else f'<ol start="{start}">'
                return f"{opening}\n{inner}</{'ul' if start is None else 'ol'}>\n"
            case Quotation(blocks=inside):
                return f"<blockquote>\n{self.blocks(inside)}</blockquote>\n"
            case Code(text=text):
                return f"<pre><code>{escape(text)}</code></pre>\n"
            case Rule():
                return "<hr>\n"
            case Cut():
                return '<div class="cut"></div>\n'
            case Matrix():
                return _matrix(block)
            case Figure():
                return self._figure(block)

    def _item(self, item: Sequence[Block]) -> str:
        if len(item) == 1 and isinstance(item[0], Paragraph):
            return _inline(item[0].runs)
        return self.blocks(item)

    def _figure(self, figure: Figure) -> str:
        document, caption = self.document, escape(figure.caption)
        below = f"<figcaption>{caption}</figcaption>" if caption else ""
        if figure.what == "table" and figure.name in document.tables:
            return self._grid(document.tables[figure.name], figure.caption)
        if figure.what == "chart" and figure.name in document.charts:
            chart = document.charts[figure.name]
            data = drawn(chart, document.language, document.style.colour, "svg")
            words = escape(chart.title or figure.caption)
            source = f"data:image/svg+xml;base64,{b64encode(data).decode()}"
            return f'<figure class="chart"><img src="{source}" alt="{words}">{below}</figure>\n'
        if figure.what == "image" and figure.name in document.images:
            return f"<figure>{self._image(document.images[figure.name], figure.caption)}{below}</figure>\n"
        self.notes.append(f"there is no {figure.what} called {figure.name!r}")
        return f"<p><em>{escape(WORDS[document.language]['missing'].format(figure.name))}</em></p>\n"

    def _image(self, data: bytes, words: str) -> str:
        kind = "png" if data.startswith(b"\x89PNG") else "jpeg" if data.startswith(b"\xff\xd8") else ""
        if not kind:
            self.notes.append(f"the image {words!r} is no PNG or JPEG")
            return ""
        return f'<img src="data:image/{kind};base64,{b64encode(data).decode()}" alt="{escape(words)}">'

    def _grid(self, grid: Grid, caption: str) -> str:
        cells = cells_of(grid, self.document.language)
        foot = f"<tfoot>{_row(cells.totals, cells.right)}</tfoot>" if cells.totals else ""
        title = escape(caption or grid.title)
        above = f'<figcaption class="above">{title}</figcaption>' if title else ""
        head = _row(cells.head, cells.right, "th")
        body = "\n".join(_row(row, cells.right) for row in cells.rows)
        return f"<figure>{above}<table><thead>{head}</thead><tbody>\n{body}\n</tbody>{foot}</table></figure>\n"


def _row(texts: Sequence[str], right: Sequence[bool], tag: str = "td") -> str:
    cells = (
        f"<{tag}{' class=n' if number else ''}>{escape(text)}</{tag}>"
        for text, number in zip(texts, right, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _matrix(matrix: Matrix) -> str:
    def row(cells: Sequence[Runs], tag: str) -> str:
        inner = (
            f"<{tag}{' class=n' if number else ''}>{_inline(runs)}</{tag}>"
            for runs, number in zip(cells, matrix.right, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    rows = "\n".join(row(each, "td") for each in matrix.rows)
    return f"<figure><table><thead>{row(matrix.head, 'th')}</thead><tbody>\n{rows}\n</tbody></table></figure>\n"


def _inline(runs: Runs) -> str:
    return "".join(_run(run) for run in runs)


def _run(run: Run) -> str:
    if run.text == "\n":
        return "<br>\n"
    text = escape(run.text)
    for wanted, tag in ((run.code, "code"), (run.struck, "s"), (run.italic, "em"), (run.bold, "strong")):
        text = f"<{tag}>{text}</{tag}>" if wanted else text
    return f'<a href="{escape(run.link)}" rel="noopener noreferrer">{text}</a>' if run.link else text
