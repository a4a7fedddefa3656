ALTER TABLE parties ADD COLUMN address TEXT;
ALTER TABLE members ADD COLUMN address TEXT;
ALTER TABLE tokens ADD COLUMN address TEXT;
ALTER TABLE tokens ADD COLUMN claim BLOB;
ALTER TABLE receipts ADD COLUMN request TEXT;
-- A claim was named by a req_id, which proves nothing any more.
DELETE FROM receipts WHERE done = '{"done":"claimed"}';
