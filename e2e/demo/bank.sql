-- The bank's database: 10,000 customers whose numbers are well formed (check digits and all) and belong to nobody.
-- Runs once, as the superuser, in the database "bank". The same rows every time.
\set ON_ERROR_STOP on

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;

CREATE FUNCTION pg_temp.luhn(digits text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT digits || ((10 - sum(CASE WHEN i % 2 = 1 THEN d * 2 - CASE WHEN d > 4 THEN 9 ELSE 0 END ELSE d END) % 10) % 10)
  FROM (SELECT i, substr(reverse(digits), i, 1)::int AS d FROM generate_series(1, length(digits)) AS i) AS digit
$$;

-- ISO 7064: letters count from A = 10, so DE becomes 1314, and 00 stands where the check digits go.
CREATE FUNCTION pg_temp.iban(account text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT 'DE' || lpad((98 - (account || '131400')::numeric % 97)::text, 2, '0') || account
$$;

CREATE TABLE public.customers (
  id int PRIMARY KEY,
  name text NOT NULL,
  email text NOT NULL UNIQUE,
  ssn text NOT NULL UNIQUE CHECK (ssn ~ '^\d{3}-\d{2}-\d{4}$'),
  card text NOT NULL,
  iban text NOT NULL,
  phone text NOT NULL,
  dob date NOT NULL,
  notes text
);

INSERT INTO public.customers
SELECT i,
  (ARRAY['Ada','Grace','Alan','Edsger','Barbara','Donald','Radia','Ken','Frances','Dennis'])[1 + i % 10] || ' '
    || (ARRAY['Lovelace','Hopper','Turing','Dijkstra','Liskov','Knuth','Perlman','Thompson','Allen','Ritchie','Hamilton'])[1 + i % 11],
  'customer' || i || '@mail.example',
  (CASE WHEN i = 1 THEN '536' ELSE lpad((100 + i % 500)::text, 3, '0') END) || '-'
    || (CASE WHEN i = 1 THEN '90' ELSE lpad((1 + i % 97)::text, 2, '0') END) || '-'
    || (CASE WHEN i = 1 THEN '4399' ELSE lpad(i::text, 4, '0') END),
  pg_temp.luhn((CASE i % 3 WHEN 0 THEN '4' WHEN 1 THEN '51' ELSE '2221' END) || lpad(i::text, CASE i % 3 WHEN 0 THEN 14 WHEN 1 THEN 13 ELSE 11 END, '0')),
  pg_temp.iban('10010010' || lpad((i * 7919)::text, 10, '0')),
  '+1 415 555 ' || lpad(i::text, 4, '0'),
  date '1940-01-01' + (i * 37 % 22000),
  CASE i % 4 WHEN 0 THEN 'prefers letters; order 100200' || lpad(i::text, 4, '0')
             WHEN 1 THEN 'called about card ending ' || lpad((i % 10000)::text, 4, '0')
             WHEN 2 THEN 'write to customer' || i || '@mail.example'
             ELSE NULL END
FROM generate_series(1, 9999) AS i
UNION ALL
SELECT 10000, 'Margaret Hamilton', 'customer10000@mail.example', '601-45-6789', pg_temp.luhn('272099999999999'),
  pg_temp.iban('100100100079190000'), '+1 415 555 0000', date '1936-08-17', 'her number is 601-45-6789, do not call';

CREATE TABLE public.accounts (id int PRIMARY KEY, owner int NOT NULL REFERENCES public.customers DEFERRABLE, balance numeric(12, 2) NOT NULL);
INSERT INTO public.accounts SELECT i, i, 1000 FROM generate_series(1, 100) AS i;
CREATE VIEW public.customer_directory AS SELECT id, upper(name) AS name, ssn AS tax_reference FROM public.customers;

-- The door's role owns the tables: what it may not do is said by policy, which is what the demo shows.
ALTER TABLE public.customers OWNER TO sallyport;
ALTER TABLE public.accounts OWNER TO sallyport;
ALTER VIEW public.customer_directory OWNER TO sallyport;
GRANT ALL ON SCHEMA public TO sallyport;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO sallyport;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO sallyport;
ANALYZE;
