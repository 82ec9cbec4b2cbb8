-- A row in every table that schema version 2 has beyond those of version 1.
INSERT INTO delivery_changes (change_id, workspace, event_id, channel, recipient, from_state, to_state, actor, note, changed_at)
  VALUES (3, 'main', 'e', 'file', 'alerts.ndjson', 'dead', 'pending', 'me', 'mended', 5);
