-- A row in every table that schema version 5 adds.
INSERT INTO api_keys (key_id, workspace, kind, name, key_sha256, permissions, tier, created_at, created_by)
  VALUES ('0011223344556677', 'main', 'secret', 'laptop', '0011', 'read', 'basic', 1, 'ada@laptop');
INSERT INTO api_answers (workspace, key_id, idempotency_key, request_sha256, status, body, answered_at)
  VALUES ('main', '0011223344556677', 'once', 'r', 200, '{}', 1);
INSERT INTO api_audit (workspace, at, actor, action, object, status) VALUES ('main', 1, 'ada', 'key.create', 'k', 201);
INSERT INTO server_secrets (name, secret, created_at) VALUES ('cursor', '00', 1);
