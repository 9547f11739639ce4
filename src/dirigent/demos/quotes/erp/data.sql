-- The data of an invented company, Nordwind Lüftungstechnik GmbH.
INSERT INTO discount_groups (discount_group, percent) VALUES
    ('A', 15.00),
    ('B', 10.00),
    ('C', 0.00);
INSERT INTO customers (customer_no, company, contact, email, street, postal_code, city, country, language, vat_id, discount_group, payment_terms) VALUES
    ('K-1042', 'Haustechnik Brandt GmbH', 'Petra Brandt', 'p.brandt@haustechnik-brandt.example', 'Industriestraße 14', '22113', 'Hamburg', 'DE', 'de', 'DE123456789', 'B', '14 Tage netto, 2 % Skonto bei 7 Tagen'),
    ('K-1077', 'Stadtwerke Lindenau', 'Jörg Weißmüller', 'einkauf@sw-lindenau.example', 'Am Wasserturm 3', '04177', 'Leipzig', 'DE', 'de', 'DE987654321', 'A', '30 Tage netto'),
    ('K-1201', 'Kita Sonnenhügel e. V.', 'Mareike Öztürk', 'leitung@sonnenhuegel.example', 'Hügelweg 8', '50733', 'Köln', 'DE', 'de', NULL, 'C', '14 Tage netto'),
    ('K-2010', 'De Smet Installaties BV', 'Lies De Smet', 'lies@desmet-installaties.example', 'Kerkstraat 21', '9000', 'Gent', 'BE', 'en', 'BE0123456789', 'B', '14 days net'),
    ('K-2024', 'Alpenluft Gebäudetechnik AG', 'Reto Camenzind', 'r.camenzind@alpenluft.example', 'Seestrasse 101', '6052', 'Hergiswil', 'CH', 'de', 'CHE-123.456.789', 'B', '30 Tage netto');
INSERT INTO products (article, name_de, name_en, keywords, unit, list_price, weight_kg, tax_code, stock, lead_days, facts_de, facts_en) VALUES
    ('NW-300', 'Lüftungsgerät NW 300 mit Wärmerückgewinnung', 'Ventilation unit NW 300 with heat recovery', 'lüftungsgerät lüftungsanlage zentralgerät wärmerückgewinnung ventilation unit heat recovery nw300 nw 300', 'Stück', 2890.00, 46.00, 'N', 12, 3, 'Nennvolumenstrom 300 m³/h bei 100 Pa, Wärmerückgewinnung 92 %, Schallleistung 47 dB(A), 5 Jahre Garantie', 'Nominal air flow 300 m³/h at 100 Pa, heat recovery 92 %, sound power 47 dB(A), 5 years warranty'),
    ('NW-450', 'Lüftungsgerät NW 450 mit Wärmerückgewinnung', 'Ventilation unit NW 450 with heat recovery', 'lüftungsgerät lüftungsanlage zentralgerät wärmerückgewinnung ventilation unit heat recovery nw450 nw 450', 'Stück', 3640.00, 58.00, 'N', 4, 10, 'Nennvolumenstrom 450 m³/h bei 100 Pa, Wärmerückgewinnung 91 %, Schallleistung 49 dB(A), 5 Jahre Garantie', 'Nominal air flow 450 m³/h at 100 Pa, heat recovery 91 %, sound power 49 dB(A), 5 years warranty'),
    ('NW-80D', 'Dezentrales Lüftungsgerät NW 80 D', 'Decentral ventilation unit NW 80 D', 'dezentral einzelraum wandgerät pendellüfter decentral single room wall unit nw80', 'Stück', 412.50, 4.80, 'N', 86, 2, '80 m³/h, Wärmerückgewinnung 84 %, 5 Stufen, Wandstärke ab 265 mm', '80 m³/h, heat recovery 84 %, 5 speeds, wall from 265 mm'),
    ('50-3017', 'Zuluftfilter F7 für NW 300', 'Supply air filter F7 for NW 300', 'filter f7 zuluft feinfilter pollenfilter supply fine filter', 'Stück', 38.90, 0.60, 'N', 340, 1, 'Filterklasse F7 (ePM1 55 %), Wechsel nach 4.380 Betriebsstunden', 'Filter class F7 (ePM1 55 %), change after 4,380 operating hours'),
    ('50-3014', 'Abluftfilter G4 für NW 300', 'Extract air filter G4 for NW 300', 'filter g4 abluft grobfilter extract coarse filter', 'Stück', 21.40, 0.50, 'N', 410, 1, 'Filterklasse G4 (Coarse 65 %)', 'Filter class G4 (Coarse 65 %)'),
    ('50-3020', 'Filterset F7/G4 für NW 300', 'Filter set F7/G4 for NW 300', 'filterset filter set satz f7 g4 wechselset', 'Set', 54.00, 1.10, 'N', 150, 1, 'Je ein Zuluftfilter F7 und ein Abluftfilter G4', 'One supply filter F7 and one extract filter G4'),
    ('41-2207', 'Temperatursensor NTC 10 kΩ', 'Temperature sensor NTC 10 kΩ', 'sensor temperatursensor fühler ntc e1 temperature', 'Stück', 18.75, 0.10, 'N', 95, 1, '10 kΩ bei 20 °C, Kabel 1,5 m, Stecker X7', '10 kΩ at 20 °C, cable 1.5 m, plug X7'),
    ('41-2300', 'Regler NW Touch', 'Controller NW Touch', 'regler bedienteil touch display steuerung controller panel', 'Stück', 189.00, 0.45, 'N', 40, 2, 'Touch-Display 4,3 Zoll, Wochenprogramm, Modbus RTU', 'Touch display 4.3 inch, weekly schedule, Modbus RTU'),
    ('41-2310', 'CO₂-Sensor für Wandmontage', 'CO₂ sensor, wall mounted', 'co2 co₂ sensor luftqualität kohlendioxid wand air quality', 'Stück', 142.00, 0.20, 'N', 61, 2, '0 bis 2.000 ppm, ±50 ppm, 0–10 V', '0 to 2,000 ppm, ±50 ppm, 0–10 V'),
    ('60-0125', 'Wickelfalzrohr DN 125, 3 m', 'Spiral duct DN 125, 3 m', 'rohr wickelfalzrohr dn125 dn 125 lüftungsrohr kanal spiral duct pipe', 'Stück', 24.60, 6.30, 'N', 220, 1, 'Verzinkt, Länge 3 m, Wandstärke 0,5 mm', 'Galvanised, length 3 m, wall 0.5 mm'),
    ('60-0160', 'Wickelfalzrohr DN 160, 3 m', 'Spiral duct DN 160, 3 m', 'rohr wickelfalzrohr dn160 dn 160 lüftungsrohr kanal spiral duct pipe', 'Stück', 31.20, 8.10, 'N', 180, 1, 'Verzinkt, Länge 3 m, Wandstärke 0,5 mm', 'Galvanised, length 3 m, wall 0.5 mm'),
    ('60-1125', 'Bogen 90° DN 125', 'Bend 90° DN 125', 'bogen 90 grad dn125 dn 125 krümmer bend elbow', 'Stück', 12.80, 0.90, 'N', 300, 1, 'Verzinkt, mit Lippendichtung', 'Galvanised, with lip seal'),
    ('60-1160', 'Bogen 90° DN 160', 'Bend 90° DN 160', 'bogen 90 grad dn160 dn 160 krümmer bend elbow', 'Stück', 15.90, 1.20, 'N', 260, 1, 'Verzinkt, mit Lippendichtung', 'Galvanised, with lip seal'),
    ('60-2125', 'Schalldämpfer DN 125, 1 m', 'Silencer DN 125, 1 m', 'schalldämpfer dn125 dn 125 silencer', 'Stück', 68.00, 5.20, 'N', 75, 2, 'Einfügungsdämpfung 22 dB bei 250 Hz', 'Insertion loss 22 dB at 250 Hz'),
    ('60-2160', 'Schalldämpfer DN 160, 1 m', 'Silencer DN 160, 1 m', 'schalldämpfer dn160 dn 160 silencer', 'Stück', 82.00, 6.40, 'N', 58, 2, 'Einfügungsdämpfung 19 dB bei 250 Hz', 'Insertion loss 19 dB at 250 Hz'),
    ('60-3125', 'Tellerventil Zuluft DN 125', 'Supply air valve DN 125', 'tellerventil zuluft ventil auslass dn125 dn 125 supply valve diffuser', 'Stück', 14.30, 0.40, 'N', 510, 1, 'Stahl, weiß, RAL 9010', 'Steel, white, RAL 9010'),
    ('60-3126', 'Tellerventil Abluft DN 125', 'Extract air valve DN 125', 'tellerventil abluft ventil auslass dn125 dn 125 extract valve', 'Stück', 13.70, 0.40, 'N', 480, 1, 'Stahl, weiß, RAL 9010', 'Steel, white, RAL 9010'),
    ('60-4160', 'Außenwandhaube DN 160 Edelstahl', 'External wall cowl DN 160 stainless steel', 'außenwandhaube wetterschutz haube dn160 dn 160 wall cowl hood', 'Stück', 96.50, 2.30, 'N', 33, 3, 'Edelstahl 1.4301, mit Vogelschutzgitter', 'Stainless steel 1.4301, with bird guard'),
    ('60-5100', 'Flexschlauch isoliert DN 125, 10 m', 'Insulated flexible duct DN 125, 10 m', 'flexschlauch flexrohr isoliert schlauch dn125 dn 125 flexible duct', 'Rolle', 58.40, 3.90, 'N', 90, 1, 'Dämmung 25 mm, Länge 10 m', 'Insulation 25 mm, length 10 m'),
    ('70-0100', 'Inbetriebnahme und Einregulierung', 'Commissioning and balancing', 'inbetriebnahme einregulierung service montage commissioning balancing', 'Pauschale', 480.00, 0.00, 'N', 999, 5, 'Vor Ort, mit Protokoll nach DIN EN 12599', 'On site, with report according to DIN EN 12599'),
    ('70-0200', 'Wartungsvertrag NW 300, 1 Jahr', 'Maintenance contract NW 300, 1 year', 'wartung wartungsvertrag service vertrag maintenance contract', 'Jahr', 165.00, 0.00, 'N', 999, 5, 'Eine Wartung im Jahr, Filterset eingeschlossen', 'One service a year, filter set included'),
    ('90-0010', 'Fachbuch Wohnungslüftung', 'Textbook on residential ventilation', 'buch fachbuch book', 'Stück', 49.80, 0.80, 'R', 25, 2, '312 Seiten, gebunden', '312 pages, hardcover');
INSERT INTO quantity_breaks (article, from_quantity, percent) VALUES
    ('NW-300', 3, 4.00),
    ('NW-300', 10, 8.00),
    ('NW-80D', 5, 3.00),
    ('NW-80D', 20, 7.50),
    ('50-3017', 10, 5.00),
    ('50-3017', 50, 10.00),
    ('50-3014', 10, 5.00),
    ('50-3020', 10, 6.00),
    ('50-3020', 50, 12.00),
    ('60-0125', 20, 5.00),
    ('60-0160', 20, 5.00),
    ('60-3125', 25, 6.00),
    ('60-3126', 25, 6.00),
    ('60-1125', 20, 4.00);
INSERT INTO tax_rates (tax_code, country, percent) VALUES
    ('N', 'DE', 19.00),
    ('R', 'DE', 7.00),
    ('N', 'BE', 0.00),
    ('R', 'BE', 0.00),
    ('N', 'CH', 0.00),
    ('R', 'CH', 0.00);
INSERT INTO freight (country, up_to_kg, price) VALUES
    ('DE', 5.00, 8.90),
    ('DE', 31.50, 14.90),
    ('DE', 99999.00, 79.00),
    ('BE', 5.00, 18.90),
    ('BE', 31.50, 34.90),
    ('BE', 99999.00, 149.00),
    ('CH', 5.00, 29.00),
    ('CH', 31.50, 59.00),
    ('CH', 99999.00, 210.00);
INSERT INTO countries (country, name_de, name_en) VALUES
    ('AT', 'Österreich', 'Austria'),
    ('BE', 'Belgien', 'Belgium'),
    ('CH', 'Schweiz', 'Switzerland'),
    ('DE', 'Deutschland', 'Germany'),
    ('FR', 'Frankreich', 'France'),
    ('NL', 'Niederlande', 'Netherlands');
