-- Three roles for a database of amzctl, each with no more than it needs:
--
--   amzctl_owner   makes and migrates the tables (`amzctl init`, `amzctl db migrate`), and removes what is old
--                  (`amzctl db retention`); nothing else is run as it
--   amzctl_writer  runs everything else; it cannot change or remove what was received or noted of what people did,
--                  remove what was read of that, nor change the tables themselves
--   amzctl_reader  compare, report, show, explain, export, status, check, verify, and every list; it sees no secret of
--                  serve-lite
--
-- Run it in the database, before `amzctl init` and once more after it and after every migration; what is right already
-- stays as it is. Whoever runs it owns the database and may make roles; a superuser is not needed, and no extension is.
--
--   createdb amzctl
--   psql -d amzctl -f postgres-roles.sql
--   psql -d amzctl -c '\password amzctl_owner'      -- and those of the other two
--   AMZCTL_STORE__URL=postgres://amzctl_owner@db.example/amzctl?sslmode=verify-full amzctl init
--   psql -d amzctl -f postgres-roles.sql
--
-- People and hosts may have roles of their own: CREATE ROLE nightly LOGIN IN ROLE amzctl_writer.

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['amzctl_owner', 'amzctl_writer', 'amzctl_reader'] LOOP
        IF to_regrole(name) IS NULL THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
    -- To grant what the owner's are.
    IF NOT pg_has_role('amzctl_owner', 'USAGE') THEN
        GRANT amzctl_owner TO CURRENT_USER;
    END IF;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO amzctl_owner, amzctl_writer, amzctl_reader', current_database());
    -- The owner makes four schemas; a writer puts many rows beside a table before they go into it.
    EXECUTE format('GRANT CREATE ON DATABASE %I TO amzctl_owner', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO amzctl_owner, amzctl_writer', current_database());
END $$;

DO $$
DECLARE
    found RECORD;
BEGIN
    IF to_regnamespace('staging_raw') IS NULL THEN
        RAISE NOTICE 'run this once more after `amzctl init`: there is nothing to be granted yet';
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA staging_raw, core, mart, ops TO amzctl_writer, amzctl_reader;
    -- The months of a table are reached through it: nobody is granted anything on them.
    FOR found IN
        SELECT format('%I.%I', n.nspname, c.relname) AS name,
            CASE
                WHEN n.nspname || '.' || c.relname IN ('ops.schema_migrations', 'ops.database_identity', 'ops.retention_grants')
                    THEN 'SELECT'
                WHEN n.nspname = 'staging_raw' OR n.nspname || '.' || c.relname IN
                    ('core.observations', 'core.alert_changes', 'ops.delivery_changes', 'ops.api_audit')
                    THEN 'SELECT, INSERT'
                ELSE 'SELECT, INSERT, UPDATE, DELETE'
            END AS of_writer,
            n.nspname || '.' || c.relname IN ('ops.server_secrets', 'ops.api_answers', 'ops.sessions') AS is_secret
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('staging_raw', 'core', 'mart', 'ops') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        ORDER BY 1
    LOOP
        -- What an earlier version of this script granted too much goes.
        EXECUTE format('REVOKE ALL ON %s FROM amzctl_writer, amzctl_reader', found.name);
        EXECUTE format('GRANT %s ON %s TO amzctl_writer', found.of_writer, found.name);
        IF NOT found.is_secret THEN
            EXECUTE format('GRANT SELECT ON %s TO amzctl_reader', found.name);
        END IF;
    END LOOP;
    -- A record may be read again, and then says otherwise; of which receipt and day it is stays.
    GRANT UPDATE (is_current, marketplace, asin, observed_at, source, found, facts, listing_hash)
        ON core.observations TO amzctl_writer;
    -- A record that comes again in its file only counts up.
    GRANT UPDATE (copies) ON staging_raw.raw_receipts TO amzctl_writer;
    -- Between a migration and the next time this script is run.
    ALTER DEFAULT PRIVILEGES FOR ROLE amzctl_owner IN SCHEMA ops
        GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO amzctl_writer;
    ALTER DEFAULT PRIVILEGES FOR ROLE amzctl_owner IN SCHEMA ops GRANT USAGE ON SEQUENCES TO amzctl_writer;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA staging_raw, core, mart, ops TO amzctl_writer;
    -- With the owner's rights: whoever writes to a new month makes it, and puts one that is over in order.
    GRANT EXECUTE ON FUNCTION ops.make_months, ops.order_month TO amzctl_writer;
END $$;
