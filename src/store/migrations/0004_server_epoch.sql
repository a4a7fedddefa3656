ALTER TABLE server_choice ADD COLUMN epoch TEXT;
