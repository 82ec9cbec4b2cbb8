-- Ranks are kept by month like the daily rows that they belong to, and are found by day and by product like these.
ALTER TABLE core.ranks RENAME TO ranks_in_one;
ALTER TABLE core.ranks_in_one RENAME CONSTRAINT ranks_pkey TO ranks_in_one_pkey;
CREATE TABLE core.ranks (
    marketplace   TEXT    COLLATE "C" NOT NULL,
    asin          TEXT    COLLATE "C" NOT NULL,
    day           TEXT    COLLATE "C" NOT NULL,
    ordinal       BIGINT  NOT NULL,
    category_id   TEXT    COLLATE "C",
    category      TEXT    COLLATE "C" NOT NULL,
    rank          BIGINT  NOT NULL,
    is_main       BIGINT  NOT NULL,
    is_leaf       BIGINT  NOT NULL,
    PRIMARY KEY (marketplace, day, asin, ordinal)
) PARTITION BY RANGE (day);
CREATE INDEX ranks_by_product ON core.ranks (marketplace, asin, day, ordinal);
SELECT ops.make_months('ranks', (SELECT json_agg(DISTINCT left(day, 7))::text FROM core.ranks_in_one));
INSERT INTO core.ranks SELECT * FROM core.ranks_in_one;
-- Whoever could use the one table can use these.
DO $$
DECLARE
    granted RECORD;
BEGIN
    FOR granted IN
        SELECT g.privilege_type, pg_get_userbyid(g.grantee) AS name FROM pg_class c, aclexplode(c.relacl) g
        WHERE c.oid = 'core.ranks_in_one'::regclass AND g.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON core.ranks TO %I', granted.privilege_type, granted.name);
    END LOOP;
END $$;
DROP TABLE core.ranks_in_one;

-- Puts the rows of a month (YYYY-MM) of a table into the order of an index of that table, once; answers whether it did. Rows
-- come day by day: until then each day of a product lies on another page. With the owner's rights, like making a month.
CREATE FUNCTION ops.order_month(parent TEXT, by_index TEXT, month TEXT) RETURNS BOOLEAN LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
DECLARE
    place RECORD;
BEGIN
    SELECT n.nspname, c.relname AS child, i.relname AS index INTO place
        FROM pg_class p JOIN pg_namespace n ON n.oid = p.relnamespace
        JOIN pg_inherits h ON h.inhparent = p.oid JOIN pg_class c ON c.oid = h.inhrelid
        JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_inherits g ON g.inhrelid = i.oid JOIN pg_class b ON b.oid = g.inhparent
        WHERE p.relname = parent AND p.relkind = 'p' AND n.nspname IN ('staging_raw', 'core', 'mart', 'ops')
          AND b.relname = by_index AND c.relname = parent || '_' || replace(month, '-', '_') AND NOT x.indisclustered;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    EXECUTE format('CLUSTER %I.%I USING %I', place.nspname, place.child, place.index);
    EXECUTE format('ANALYZE %I.%I', place.nspname, place.child);
    RETURN TRUE;
END $$;
REVOKE EXECUTE ON FUNCTION ops.order_month FROM PUBLIC;
-- Whoever may make months may put them in order.
DO $$
DECLARE
    granted RECORD;
BEGIN
    FOR granted IN
        SELECT pg_get_userbyid(g.grantee) AS name FROM pg_proc p, aclexplode(p.proacl) g
        WHERE p.oid = 'ops.make_months(TEXT, TEXT)'::regprocedure AND g.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION ops.order_month TO %I', granted.name);
    END LOOP;
END $$;
