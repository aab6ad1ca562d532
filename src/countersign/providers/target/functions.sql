-- Countersign's part in a PostgreSQL target. Every function is limited to roles that are named exactly as a lease; they run
-- with the rights of their owner (OpenBao's database administrator), and the broker may execute the public ones and nothing
-- else. Installed by `countersign target init`, which sets the owner and the rights; looked over by `countersign target check`.

CREATE SCHEMA IF NOT EXISTS countersign;

CREATE OR REPLACE FUNCTION countersign.version() RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT 1 $$;

-- Which role was which lease's: so that sessions of a role that somebody dropped under them are still known for whose they are.
CREATE TABLE IF NOT EXISTS countersign.aligned_roles (role_oid oid PRIMARY KEY, lease_id text NOT NULL);

-- Refuses every name that is not exactly a lease's. All functions below begin with it.
CREATE OR REPLACE FUNCTION countersign.demand_lease(lease text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF lease IS NULL OR lease !~ '^lse_[a-z2-7]{16}$' OR octet_length(lease) <> 20 THEN
    RAISE EXCEPTION 'not the name of a lease' USING ERRCODE = 'invalid_parameter_value';
  END IF;
END $$;

-- Sets VALID UNTIL to exactly `until`, never later than it was, and says what was found: so the broker sees whether what
-- OpenBao made is what was approved.
CREATE OR REPLACE FUNCTION countersign.align_lease(lease text, until timestamptz)
RETURNS TABLE (role_oid oid, previous timestamptz, connection_limit integer, member_of text[], attributes text[])
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET lock_timeout = '2s'
AS $$
DECLARE
  made pg_roles%ROWTYPE;
BEGIN
  PERFORM countersign.demand_lease(lease);
  SELECT r.* INTO made FROM pg_roles r WHERE r.rolname = lease;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'role % does not exist', lease USING ERRCODE = 'undefined_object';
  END IF;
  IF until IS NULL OR NOT isfinite(until) OR made.rolvaliduntil < until THEN
    RAISE EXCEPTION 'role % ends at %, before %', lease, made.rolvaliduntil, until USING ERRCODE = 'invalid_parameter_value';
  END IF;
  EXECUTE format('ALTER ROLE %I VALID UNTIL %L', lease, until::text);
  INSERT INTO countersign.aligned_roles AS known (role_oid, lease_id) VALUES (made.oid, lease)
    ON CONFLICT ON CONSTRAINT aligned_roles_pkey DO UPDATE SET lease_id = excluded.lease_id;
  RETURN QUERY SELECT
    made.oid,
    made.rolvaliduntil,
    made.rolconnlimit,
    ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
          WHERE m.member = made.oid ORDER BY 1),
    array_remove(ARRAY[
      CASE WHEN made.rolsuper THEN 'superuser' END,
      CASE WHEN made.rolcreaterole THEN 'createrole' END,
      CASE WHEN made.rolcreatedb THEN 'createdb' END,
      CASE WHEN made.rolreplication THEN 'replication' END,
      CASE WHEN made.rolbypassrls THEN 'bypassrls' END], NULL);
END $$;

-- No login from the commit of this call on. A holder can hold up a change of his role by changing his own password in an
-- open transaction; so his sessions are cut and the change is tried again, without waiting for him.
CREATE OR REPLACE FUNCTION countersign.close_lease(lease text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms'
AS $$
DECLARE
  made pg_roles%ROWTYPE;
BEGIN
  PERFORM countersign.demand_lease(lease);
  FOR attempt IN 1..40 LOOP
    SELECT r.* INTO made FROM pg_roles r WHERE r.rolname = lease;
    IF NOT FOUND THEN
      RETURN 'absent';
    ELSIF NOT made.rolcanlogin THEN
      RETURN 'closed';
    END IF;
    BEGIN
      EXECUTE format('ALTER ROLE %I NOLOGIN', lease);
      RETURN 'closed';
    EXCEPTION
      WHEN undefined_object THEN
        RETURN 'absent';
      WHEN lock_not_available OR internal_error THEN -- held by the holder, or changed by somebody at the same moment
        PERFORM pg_stat_clear_snapshot();
        PERFORM pg_terminate_backend(a.pid) FROM pg_stat_activity a WHERE a.usesysid = made.oid;
        PERFORM pg_sleep(0.005);
    END;
  END LOOP;
  RAISE EXCEPTION 'role % could not be closed', lease USING ERRCODE = 'lock_not_available';
END $$;

-- Cuts every session whose login role has one of these oids, until two passes 40 ms apart see none; a login that was under
-- way when the role was closed shows up in between. Answers how many sessions are left: 0, unless one is in a query that
-- PostgreSQL cannot interrupt. Such a one dies by itself once it can; nobody waits here for it, so that it holds up no other end.
CREATE OR REPLACE FUNCTION countersign.cut_sessions(oids oid[]) RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  began CONSTANT timestamptz := clock_timestamp();
  quiet integer := 0;
  here integer;
  arriving integer;
BEGIN
  IF coalesce(cardinality(oids), 0) = 0 THEN
    RETURN 0;
  END IF;
  FOR pass IN 1..16 LOOP
    PERFORM pg_stat_clear_snapshot();
    SELECT count(pg_terminate_backend(a.pid)) INTO here
      FROM pg_stat_activity a WHERE a.usesysid = ANY (oids) AND a.pid <> pg_backend_pid();
    -- From PostgreSQL 18 on, a session that is still signing in is listed without a name.
    SELECT count(*) INTO arriving FROM pg_stat_activity a
      WHERE a.usesysid IS NULL AND a.backend_type = 'client backend' AND a.backend_start < began;
    IF here = 0 AND (arriving = 0 OR pass > 12) THEN
      quiet := quiet + 1;
      EXIT WHEN quiet = 2;
    ELSE
      quiet := 0;
    END IF;
    PERFORM pg_sleep(0.04);
  END LOOP;
  RETURN here;
END $$;

-- Drops the role if nothing hangs on it. Its objects are nobody's but its own: a role that owns some stays, closed, and is taken
-- out of every group, so that nothing that it left behind (a SECURITY DEFINER function, say) works with the rights of its lease.
CREATE OR REPLACE FUNCTION countersign.drop_lease(lease text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  given name;
BEGIN
  PERFORM countersign.demand_lease(lease);
  FOR attempt IN 1..5 LOOP
    BEGIN
      EXECUTE format('DROP ROLE %I', lease);
      RETURN 'dropped';
    EXCEPTION
      WHEN undefined_object THEN
        RETURN 'absent';
      WHEN dependent_objects_still_exist THEN
        FOR given IN
          SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles l ON l.oid = m.member
          WHERE l.rolname = lease
        LOOP
          EXECUTE format('REVOKE %I FROM %I', given, lease);
        END LOOP;
        RETURN 'owns-objects';
      WHEN lock_not_available OR internal_error THEN -- OpenBao is dropping it too
        PERFORM pg_sleep(0.02);
    END;
  END LOOP;
  RETURN 'held';
END $$;

-- Ends a closed lease: cuts its sessions, those after SET ROLE and those of a role that was dropped under them included, and
-- drops the role once none is left, so that a session never outlives its name. `remembered` is the role's oid as `align_lease`
-- gave it. Refuses while logins may still succeed.
CREATE OR REPLACE FUNCTION countersign.end_lease(lease text, remembered oid DEFAULT NULL)
RETURNS TABLE (outcome text, sessions_left integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms'
AS $$
DECLARE
  made pg_roles%ROWTYPE;
BEGIN
  PERFORM countersign.demand_lease(lease);
  IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
    RAISE EXCEPTION 'the closing must be committed by itself' USING ERRCODE = 'active_sql_transaction';
  END IF;
  SELECT r.* INTO made FROM pg_roles r WHERE r.rolname = lease;
  IF made.rolcanlogin THEN
    RAISE EXCEPTION 'role % is not closed', lease;
  END IF;
  SELECT countersign.cut_sessions(array_agg(mine.oid)) INTO sessions_left FROM (
    SELECT made.oid WHERE made.oid IS NOT NULL
    UNION
    SELECT gone.oid FROM (
      SELECT remembered UNION SELECT known.role_oid FROM countersign.aligned_roles known WHERE known.lease_id = lease
    ) AS gone (oid) WHERE gone.oid IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = gone.oid)
  ) AS mine (oid);
  outcome := CASE
    WHEN sessions_left > 0 THEN 'held'
    WHEN made.oid IS NULL THEN 'absent'
    ELSE countersign.drop_lease(lease) END;
  IF outcome IN ('absent', 'dropped') THEN
    DELETE FROM countersign.aligned_roles known WHERE known.lease_id = lease;
  END IF;
  RETURN NEXT;
END $$;

-- Cuts the sessions of a role that no longer exists; such sessions belong to nobody whose access could still be right.
CREATE OR REPLACE FUNCTION countersign.end_dangling(dropped oid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF dropped IS NULL OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = dropped) THEN
    RAISE EXCEPTION 'the role exists' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN countersign.cut_sessions(ARRAY[dropped]);
END $$;

-- OpenBao's own revocation statement, one transaction: the backstop for when the broker is down. By then VALID UNTIL has
-- passed, so that no password opens a session between the cut and the commit. Never fails for a role that owns objects, nor for
-- one with a session that will not die: OpenBao makes and drops one role at a time, and the others wait.
CREATE OR REPLACE FUNCTION countersign.expire_lease(lease text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
  made pg_roles%ROWTYPE;
BEGIN
  PERFORM countersign.demand_lease(lease);
  IF countersign.close_lease(lease) = 'absent' THEN
    RETURN 'absent';
  END IF;
  SELECT r.* INTO made FROM pg_roles r WHERE r.rolname = lease;
  IF countersign.cut_sessions(array_remove(ARRAY[made.oid], NULL)) > 0 THEN
    RETURN 'held';
  END IF;
  RETURN countersign.drop_lease(lease);
END $$;

-- How these leases stand at this target, in one look. `remembered` goes pairwise with `leases`. `dangling` counts the sessions of
-- dropped roles of which nobody knows whose they were.
CREATE OR REPLACE FUNCTION countersign.lease_standing(leases text[], remembered oid[])
RETURNS TABLE (lease text, role_oid oid, can_login boolean, valid_until timestamptz, sessions integer,
               last_activity timestamptz, dangling integer)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  WITH activity AS MATERIALIZED (
    SELECT a.usesysid, count(*)::integer AS sessions,
           -- What runs now is used now, however long ago it began.
           max(CASE WHEN a.state = 'active' THEN clock_timestamp() ELSE coalesce(a.state_change, a.backend_start) END)
             AS last_activity
    FROM pg_stat_activity a WHERE a.usesysid IS NOT NULL GROUP BY a.usesysid
  ), dropped AS MATERIALIZED (
    SELECT a.usesysid, a.sessions, a.last_activity FROM activity a
    WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.usesysid)
  )
  SELECT asked.lease, r.oid, r.rolcanlogin, r.rolvaliduntil,
         coalesce(own.sessions, 0) + coalesce(left_over.sessions, 0),
         greatest(own.last_activity, left_over.last_activity),
         coalesce((SELECT sum(d.sessions) FROM dropped d WHERE NOT EXISTS (
           SELECT unnest(remembered) INTERSECT SELECT d.usesysid
           UNION ALL SELECT known.role_oid FROM countersign.aligned_roles known WHERE known.role_oid = d.usesysid)), 0)::integer
  FROM unnest(leases, remembered) AS asked (lease, oid)
  LEFT JOIN pg_roles r ON r.rolname = asked.lease
  LEFT JOIN activity own ON own.usesysid = r.oid
  LEFT JOIN LATERAL (
    SELECT sum(d.sessions)::integer AS sessions, max(d.last_activity) AS last_activity FROM dropped d
    WHERE d.usesysid = asked.oid OR d.usesysid IN (
      SELECT known.role_oid FROM countersign.aligned_roles known WHERE known.lease_id = asked.lease)
  ) left_over ON true
$$;

-- Every role named as a lease, and every dropped role whose sessions live on, with its lease if it is known.
CREATE OR REPLACE FUNCTION countersign.lease_roster()
RETURNS TABLE (lease text, role_oid oid, dropped boolean, can_login boolean, valid_until timestamptz, sessions integer,
               last_activity timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  WITH activity AS MATERIALIZED (
    SELECT a.usesysid, count(*)::integer AS sessions, max(coalesce(a.state_change, a.backend_start)) AS last_activity
    FROM pg_stat_activity a WHERE a.usesysid IS NOT NULL GROUP BY a.usesysid
  )
  SELECT r.rolname::text, r.oid, false, r.rolcanlogin, r.rolvaliduntil, coalesce(a.sessions, 0), a.last_activity
  FROM pg_roles r LEFT JOIN activity a ON a.usesysid = r.oid
  WHERE r.rolname ~ '^lse_[a-z2-7]{16}$'
  UNION ALL
  SELECT known.lease_id, a.usesysid, true, NULL, NULL, a.sessions, a.last_activity
  FROM activity a LEFT JOIN countersign.aligned_roles known ON known.role_oid = a.usesysid
  WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.usesysid)
$$;
