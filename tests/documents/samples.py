"""A document with everything in it, and one table."""

from __future__ import annotations

from decimal import Decimal

from dirigent.core.documents import Chart, Column, Document, Grid, Style

__all__ = ["POSITIONS", "sample"]

TEXT = """\
# Zusammenfassung

Der Umsatz stieg um **12,5 %**; siehe [die Seite](https://example.org) und `analyse.sql`. „Größe“ – süß.

1. Erstens
2. Zweitens
   - Unterpunkt

> Wir empfehlen, zu verlängern.

![Angebotene Leistungen](table:positions)

![Abbildung 1](chart:sales)

| Wort | Betrag |
|---|---:|
| Grundstücksverkehrsgenehmigungszuständigkeitsübertragungsverordnung | 1.200,00 € |
| **Summe** | **1.200,00 €** |

```
SELECT 1
```

<pagebreak>

## Anhang

<script>alert(1)</script> [böse](javascript:alert(1))

---

![](chart:gone)
"""
POSITIONS = Grid(
    (
        {"no": 1, "what": "Wartung", "count": 12, "price": Decimal("149.90"), "sum": Decimal("1798.80")},
        {"no": 2, "what": "=HYPERLINK(evil)", "count": 1, "price": Decimal(2400), "sum": Decimal(2400)},
    ),
    (
        Column("no", "Pos.", "integer"),
        Column("what", "Bezeichnung"),
        Column("count", "Menge"),
        Column("price", "Einzelpreis", "money"),
        Column("sum", "Betrag", "money", total=True, formula="{count}*{price}"),
    ),
    "Positionen",
)


def sample(template: str = "report", language: str = "de") -> Document:
    """The document in that dress."""
    months = tuple({"month": f"2026-{number:02}", "sales": Decimal(90 + number)} for number in range(1, 7))
    return Document(
        markdown=TEXT,
        title="Quartalsbericht",
        subtitle="Vertrieb",
        language=language,  # type: ignore[arg-type]  # one of the two
        template=template,  # type: ignore[arg-type]  # one that there is
        to=("Erika Mustermann", "80331 München"),
        facts={"Datum": "2026-11-30", "Zahl": Decimal("1234.5")},
        tables={"positions": POSITIONS},
        charts={"sales": Chart("bar", months, "month", ("sales",), "Umsatz", form="money")},
        style=Style(company="Musterhaus GmbH", address=("Lange Straße 1",), footer="Vertraulich"),
    )
