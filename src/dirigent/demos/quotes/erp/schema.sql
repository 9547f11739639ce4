-- A small ERP database, as most of them are at heart: the same statements run on SQLite and on PostgreSQL.
CREATE TABLE customers (
    customer_no   text PRIMARY KEY,
    company       text NOT NULL,
    contact       text NOT NULL,
    email         text NOT NULL,
    street        text NOT NULL,
    postal_code   text NOT NULL,
    city          text NOT NULL,
    country       text NOT NULL,            -- ISO 3166
    language      text NOT NULL,
    vat_id        text,
    discount_group text NOT NULL,
    payment_terms text NOT NULL
);
CREATE TABLE discount_groups (
    discount_group text PRIMARY KEY,
    percent        numeric(5, 2) NOT NULL   -- on list prices, before quantity breaks
);
CREATE TABLE products (
    article       text PRIMARY KEY,
    name_de       text NOT NULL,
    name_en       text NOT NULL,
    keywords      text NOT NULL,
    unit          text NOT NULL,
    list_price    numeric(12, 2) NOT NULL,  -- EUR, net, for one unit
    weight_kg     numeric(8, 2) NOT NULL,
    tax_code      text NOT NULL,
    stock         integer NOT NULL,
    lead_days     integer NOT NULL,
    facts_de      text NOT NULL,
    facts_en      text NOT NULL
);
CREATE TABLE quantity_breaks (
    article       text NOT NULL REFERENCES products (article),
    from_quantity integer NOT NULL,
    percent       numeric(5, 2) NOT NULL,   -- further discount from this quantity on
    PRIMARY KEY (article, from_quantity)
);
CREATE TABLE tax_rates (
    tax_code      text NOT NULL,
    country       text NOT NULL,
    percent       numeric(5, 2) NOT NULL,
    PRIMARY KEY (tax_code, country)
);
CREATE TABLE countries (
    country       text PRIMARY KEY,
    name_de       text NOT NULL,
    name_en       text NOT NULL
);
CREATE TABLE freight (
    country       text NOT NULL,
    up_to_kg      numeric(8, 2) NOT NULL,
    price         numeric(10, 2) NOT NULL,
    PRIMARY KEY (country, up_to_kg)
);
