"""A small handbook in German and English, and questions of which it is known where their answers stand.

The words of question and answer differ on purpose where people's words would.
"""

from __future__ import annotations

__all__ = ["QUESTIONS", "TEXTS"]

TEXTS = {
    "urlaub.md": """\
# Urlaub

## Anspruch

Jede Mitarbeiterin und jeder Mitarbeiter hat 30 Tage Erholungsurlaub im Kalenderjahr. Schwerbehinderte erhalten fünf
weitere Tage.

## Antrag

Der Urlaubsantrag wird mindestens zwei Wochen vorher im Personalportal gestellt. Die Führungskraft entscheidet binnen
drei Arbeitstagen.

## Übertragung

Resturlaub verfällt am 31. März des Folgejahres, sofern nicht dringende betriebliche Gründe entgegenstanden.
""",
    "reise.md": """\
# Dienstreisen

## Bahn und Flug

Bei Fahrten unter fünf Stunden ist die Bahn zu nehmen. Erste Klasse wird ab zwei Stunden Fahrzeit erstattet.

## Verpflegung

Für eintägige Reisen von mehr als acht Stunden gibt es eine Pauschale von 14 Euro, für jeden vollen Tag 28 Euro.

## Abrechnung

Belege sind innerhalb eines Monats nach Rückkehr einzureichen; später eingehende werden nicht mehr bezahlt.
""",
    "it.md": """\
# Informationstechnik

## Kennwörter

Kennwörter haben mindestens vierzehn Zeichen und werden nicht weitergegeben. Nach fünf Fehlversuchen wird das Konto
gesperrt; die Hotline unter 4711 hebt die Sperre auf.

## Verlust von Geräten

Ein verlorenes Notebook oder Telefon ist sofort der Informationssicherheit zu melden, damit es aus der Ferne gelöscht
werden kann.

## Künstliche Intelligenz

Personenbezogene Daten dürfen nur über Dirigent an Sprachmodelle gegeben werden.
""",
    "expenses.md": """\
# Purchasing

## Approval

Orders up to 500 euros need no approval. Above that the budget owner signs; from 10,000 euros on the managing director
signs as well.

## Suppliers

New vendors are checked for sanctions and for their bank details before the first order. This takes five working days.
""",
    "security.md": """\
# Building

## Visitors

Guests are registered at the reception a day ahead and wear a badge at all times. They are never left alone.

## Fire

When the alarm sounds, everyone leaves by the nearest stairs and gathers in the car park. Lifts must not be used.

## Parking

Bicycles stand in the basement; charging points for electric cars are booked in the app.
""",
    "parental.md": """\
# Family

## Parental leave

Parents announce their leave seven weeks before it begins. Up to three years can be taken, and part-time work of up to
32 hours a week is possible meanwhile.

## Sick children

Each parent may stay at home for fifteen days a year when a child under twelve is ill.
""",
    "arbeitszeit.md": """\
# Arbeitszeit

## Gleitzeit

Die Kernzeit reicht von 10 bis 15 Uhr. Überstunden werden auf dem Zeitkonto gesammelt und binnen sechs Monaten
abgebaut.

## Homeoffice

Bis zu drei Tage in der Woche kann von zu Hause gearbeitet werden, wenn das Team zustimmt.

## Krankheit

Wer krank ist, sagt am ersten Tag bis neun Uhr Bescheid. Ab dem vierten Tag ist eine ärztliche Bescheinigung nötig.
""",
}

QUESTIONS = (
    ("Wie viele Tage frei habe ich im Jahr?", "urlaub.md", "Anspruch"),
    ("Wann muss ich meinen Urlaub beantragen?", "urlaub.md", "Antrag"),
    ("Verfallen meine restlichen Urlaubstage?", "urlaub.md", "Übertragung"),
    ("Darf ich fliegen oder muss ich mit dem Zug fahren?", "reise.md", "Bahn und Flug"),
    ("Wie hoch ist das Tagegeld für Essen unterwegs?", "reise.md", "Verpflegung"),
    ("Bis wann gebe ich Quittungen der Reise ab?", "reise.md", "Abrechnung"),
    ("Wie lang muss mein Passwort sein?", "it.md", "Kennwörter"),
    ("Mein Konto ist gesperrt, wen rufe ich an?", "it.md", "Kennwörter"),
    ("Ich habe meinen Laptop im Zug liegen lassen", "it.md", "Verlust von Geräten"),
    ("Darf ich Kundendaten in ChatGPT eingeben?", "it.md", "Künstliche Intelligenz"),
    ("Ab welchem Betrag muss die Geschäftsführung eine Bestellung freigeben?", "expenses.md", "Approval"),
    ("Who has to sign an order of 2,000 euros?", "expenses.md", "Approval"),
    ("How long does it take to add a new supplier?", "expenses.md", "Suppliers"),
    ("Can I bring a guest to the office?", "security.md", "Visitors"),
    ("Was mache ich bei Feueralarm?", "security.md", "Fire"),
    ("Where do I put my bike?", "security.md", "Parking"),
    ("Wo kann ich mein Elektroauto laden?", "security.md", "Parking"),
    ("When do I have to tell my boss about parental leave?", "parental.md", "Parental leave"),
    ("Mein Kind ist krank, darf ich daheim bleiben?", "parental.md", "Sick children"),
    ("Can I work from home?", "arbeitszeit.md", "Homeoffice"),
    ("Was passiert mit meinen Überstunden?", "arbeitszeit.md", "Gleitzeit"),
    ("When do I need a doctor's note?", "arbeitszeit.md", "Krankheit"),
    ("Wann muss ich im Büro sein?", "arbeitszeit.md", "Gleitzeit"),
    ("May I take the first class on a train?", "reise.md", "Bahn und Flug"),
)
"""Question, document and heading."""
