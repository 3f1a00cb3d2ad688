-- Polls are forgotten after a day: found without reading the commands to cabinets, which stay.
-- depends: 0003_messages

CREATE INDEX commands_to_all ON commands (created_at) WHERE cabinet_id IS NULL;
