-- Why a request was sent: '' for what was due, `second_look` where another source was to confirm a finding, which an
-- incident of the gate with the reason second_source holds back. What is spent on those has a limit of its own.
ALTER TABLE source_requests ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
