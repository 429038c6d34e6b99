-- Written by `python -m tests.corpus.storage.test_new_schema`; change the migrations, not this file;

CREATE TABLE "accounts" (
	account_key TEXT NOT NULL, 
	generation BIGINT NOT NULL, 
	speaker_id TEXT NOT NULL, 
	account BLOB, 
	forgotten_at DATETIME, 
	score_ended_at DATETIME, 
	annotate_ended_at DATETIME, 
	train_ended_at DATETIME, agreed BIGINT, agreed_at DATETIME, notice TEXT, 
	PRIMARY KEY (account_key), 
	UNIQUE (speaker_id)
);

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

INSERT INTO "alembic_version" VALUES('0005');

CREATE TABLE audit (
	seq BIGINT NOT NULL, 
	at DATETIME NOT NULL, 
	act TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq)
);

CREATE TABLE audit_checkpoints (
	counter BIGINT NOT NULL, 
	note TEXT NOT NULL, 
	trees TEXT NOT NULL, 
	PRIMARY KEY (counter)
);

CREATE TABLE audit_head (
	id INTEGER NOT NULL, 
	seq BIGINT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id)
);

INSERT INTO "audit_head" VALUES(1,0,'0000000000000000000000000000000000000000000000000000000000000000');

CREATE TABLE first_receipts (
	event TEXT NOT NULL, 
	received_at DATETIME NOT NULL, 
	PRIMARY KEY (event)
);

CREATE TABLE home (
	id INTEGER NOT NULL, 
	home_id TEXT NOT NULL, 
	PRIMARY KEY (id)
);

CREATE TABLE keys (
	utterance_id TEXT NOT NULL, 
	speaker_id TEXT NOT NULL, 
	wrapped BLOB, 
	device BLOB, 
	consent BIGINT NOT NULL, 
	operation_id TEXT NOT NULL, 
	touched_at DATETIME NOT NULL, 
	destroyed_at DATETIME, arrived_at DATETIME, received_at DATETIME, 
	PRIMARY KEY (utterance_id)
);

CREATE TABLE secrets (
	name TEXT NOT NULL, 
	wrapped BLOB NOT NULL, 
	PRIMARY KEY (name)
);

CREATE INDEX ix_keys_speaker_id ON keys (speaker_id);

