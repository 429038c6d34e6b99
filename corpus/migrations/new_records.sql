-- Written by `python -m tests.corpus.storage.test_new_schema`; change the migrations, not this file;

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

INSERT INTO "alembic_version" VALUES('0019');

CREATE TABLE aliases (
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	version TEXT NOT NULL, 
	CONSTRAINT pk_aliases PRIMARY KEY (kind, name), 
	CONSTRAINT fk_aliases_kind_version FOREIGN KEY(kind, version) REFERENCES model_versions (kind, version)
);

CREATE TABLE "annotations" (
	task_id TEXT NOT NULL, 
	annotator_id TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	utterance_id TEXT NOT NULL, 
	ask TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	intent TEXT, 
	lead_time DOUBLE NOT NULL, 
	content BLOB, 
	content_mac TEXT NOT NULL, 
	variant BIGINT DEFAULT '0' NOT NULL, at DATETIME, proposes BOOLEAN, 
	CONSTRAINT pk_annotations PRIMARY KEY (task_id, annotator_id, revision, variant), 
	CONSTRAINT fk_annotations_task_id FOREIGN KEY(task_id) REFERENCES tasks (task_id)
);

CREATE TABLE assignments (
	task_id TEXT NOT NULL, 
	annotator_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_assignments PRIMARY KEY (task_id, annotator_id), 
	CONSTRAINT fk_assignments_task_id FOREIGN KEY(task_id) REFERENCES tasks (task_id)
);

CREATE TABLE audit (
	seq BIGINT NOT NULL, 
	at DATETIME NOT NULL, 
	act TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (seq)
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
	CONSTRAINT pk_audit_head PRIMARY KEY (id)
);

INSERT INTO "audit_head" VALUES(1,0,'0000000000000000000000000000000000000000000000000000000000000000');

CREATE TABLE crowds (
	seq BIGINT NOT NULL, 
	at DATETIME NOT NULL, 
	answers_digest TEXT NOT NULL, 
	numbers TEXT NOT NULL, 
	CONSTRAINT pk_crowds PRIMARY KEY (seq)
);

CREATE TABLE dataset_rows (
	dataset_id TEXT NOT NULL, 
	utterance_id TEXT NOT NULL, 
	CONSTRAINT pk_dataset_rows PRIMARY KEY (dataset_id, utterance_id), 
	CONSTRAINT fk_dataset_rows_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (dataset_id)
);

CREATE TABLE datasets (
	dataset_id TEXT NOT NULL, 
	place TEXT NOT NULL, 
	format TEXT NOT NULL, 
	with_audio BOOLEAN NOT NULL, 
	at DATETIME NOT NULL, 
	expires_at DATETIME, 
	CONSTRAINT pk_datasets PRIMARY KEY (dataset_id)
);

CREATE TABLE doomed (
	path TEXT NOT NULL, 
	CONSTRAINT pk_doomed PRIMARY KEY (path)
);

CREATE TABLE draw_temperatures (
	version TEXT NOT NULL, 
	clips BIGINT NOT NULL, 
	wrong BIGINT NOT NULL, 
	value DOUBLE, 
	expected DOUBLE, 
	CONSTRAINT pk_draw_temperatures PRIMARY KEY (version)
);

CREATE TABLE erasure_hops (
	hop TEXT NOT NULL, 
	since DATETIME NOT NULL, 
	PRIMARY KEY (hop)
);

CREATE TABLE evaluation_costs (
	kind TEXT NOT NULL, 
	version TEXT NOT NULL, 
	eval_set_id TEXT NOT NULL, 
	normaliser TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	rows BIGINT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	audio DOUBLE NOT NULL, 
	speed TEXT NOT NULL, 
	CONSTRAINT pk_evaluation_costs PRIMARY KEY (kind, version, eval_set_id, normaliser, number)
);

CREATE TABLE home (
	id INTEGER NOT NULL, 
	home_id TEXT NOT NULL, 
	CONSTRAINT pk_home PRIMARY KEY (id)
);

CREATE TABLE ingest_batches (
	operation_id TEXT NOT NULL, 
	received BIGINT NOT NULL, 
	accepted BIGINT NOT NULL, 
	CONSTRAINT pk_ingest_batches PRIMARY KEY (operation_id)
);

CREATE TABLE inventory_mappings (
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	means TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_inventory_mappings PRIMARY KEY (kind, name), 
	CONSTRAINT ck_inventory_mappings_kind CHECK (kind IN ('intent', 'slot'))
);

CREATE TABLE inventory_names (
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	source TEXT NOT NULL, 
	description TEXT NOT NULL, 
	examples TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_inventory_names PRIMARY KEY (kind, name), 
	CONSTRAINT ck_inventory_names_kind CHECK (kind IN ('intent', 'slot')), 
	CONSTRAINT ck_inventory_names_source CHECK (source IN ('labels', 'added', 'adopted'))
);

CREATE TABLE inventory_settled (
	id INTEGER NOT NULL, 
	digest TEXT NOT NULL, fold_case BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_inventory_settled PRIMARY KEY (id)
);

CREATE TABLE judgements (
	kind TEXT NOT NULL, 
	version TEXT NOT NULL, 
	number BIGINT NOT NULL, 
	rows_id TEXT NOT NULL, 
	against TEXT NOT NULL, 
	decision TEXT NOT NULL, 
	CONSTRAINT pk_judgements PRIMARY KEY (kind, version, number)
);

CREATE TABLE labels (
	utterance_id TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	current BOOLEAN NOT NULL, 
	has_transcript BOOLEAN NOT NULL, 
	intent TEXT, 
	agreement DOUBLE NOT NULL, 
	annotators BIGINT NOT NULL, 
	source TEXT NOT NULL, 
	content BLOB, 
	content_mac TEXT NOT NULL, 
	operation_id TEXT NOT NULL, slots_complete BOOLEAN DEFAULT 1 NOT NULL, 
	CONSTRAINT pk_labels PRIMARY KEY (utterance_id, revision), 
	CONSTRAINT fk_labels_utterance_id FOREIGN KEY(utterance_id) REFERENCES utterances (utterance_id)
);

CREATE TABLE leases (
	utterance_id TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	until DATETIME NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (utterance_id, holder, purpose)
);

CREATE TABLE left_out (
	kind TEXT NOT NULL, 
	version TEXT NOT NULL, 
	utterance_id TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT pk_left_out PRIMARY KEY (kind, version, utterance_id), 
	CONSTRAINT fk_left_out_kind_version FOREIGN KEY(kind, version) REFERENCES model_versions (kind, version)
);

CREATE TABLE model_versions (
	kind TEXT NOT NULL, 
	version TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	snapshot_id TEXT NOT NULL, 
	base TEXT NOT NULL, 
	parent TEXT NOT NULL, 
	model_uri TEXT NOT NULL, 
	tainted BOOLEAN NOT NULL, cycle TEXT, trained_at DATETIME, tainted_at DATETIME, expired_at DATETIME, destroyed_at DATETIME, 
	CONSTRAINT pk_model_versions PRIMARY KEY (kind, version)
);

CREATE TABLE night_frames (
	night TEXT NOT NULL, 
	since BIGINT NOT NULL, 
	up_to BIGINT NOT NULL, 
	CONSTRAINT pk_night_frames PRIMARY KEY (night)
);

CREATE TABLE nights_done (
	night TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_nights_done PRIMARY KEY (night)
);

CREATE TABLE operations (
	operation_id TEXT NOT NULL, 
	act TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	result TEXT NOT NULL, 
	CONSTRAINT pk_operations PRIMARY KEY (operation_id)
);

CREATE TABLE packs (
	pack TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	operation_id TEXT NOT NULL, 
	CONSTRAINT pk_packs PRIMARY KEY (pack)
);

CREATE TABLE parts (
	path TEXT NOT NULL, 
	seq BIGINT NOT NULL, 
	rows BIGINT NOT NULL, 
	sha256 TEXT NOT NULL, 
	asr_version TEXT NOT NULL, 
	intent_version TEXT NOT NULL, 
	operation_id TEXT NOT NULL, seconds DOUBLE, 
	CONSTRAINT pk_parts PRIMARY KEY (path)
);

CREATE TABLE promotions (
	kind TEXT NOT NULL, 
	look BIGINT NOT NULL, 
	challenger TEXT NOT NULL, 
	champion TEXT NOT NULL, 
	eval_set_id TEXT NOT NULL, 
	decision TEXT NOT NULL, 
	numbers TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_promotions PRIMARY KEY (kind, look)
);

CREATE TABLE pseudo_labels (
	kind TEXT NOT NULL, 
	version TEXT NOT NULL, 
	utterance_id TEXT NOT NULL, 
	weight DOUBLE NOT NULL, 
	asr_version TEXT NOT NULL, 
	intent_version TEXT NOT NULL, 
	CONSTRAINT pk_pseudo_labels PRIMARY KEY (kind, version, utterance_id), 
	CONSTRAINT fk_pseudo_labels_kind_version FOREIGN KEY(kind, version) REFERENCES model_versions (kind, version)
);

CREATE TABLE refusals (
	operation_id TEXT NOT NULL, 
	line BIGINT NOT NULL, 
	reason TEXT NOT NULL, file_state TEXT, fault TEXT, arrived_at DATETIME, 
	CONSTRAINT pk_refusals PRIMARY KEY (operation_id, line)
);

CREATE TABLE report_rows (
	kind TEXT NOT NULL, 
	version TEXT NOT NULL, 
	eval_set_id TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	utterance_id TEXT NOT NULL, 
	CONSTRAINT pk_report_rows PRIMARY KEY (kind, version, eval_set_id, position), 
	CONSTRAINT fk_report_rows_kind_version_eval_set_id FOREIGN KEY(kind, version, eval_set_id) REFERENCES reports (kind, version, eval_set_id)
);

CREATE TABLE reports (
	kind TEXT NOT NULL, 
	version TEXT NOT NULL, 
	eval_set_id TEXT NOT NULL, 
	numbers TEXT NOT NULL, 
	CONSTRAINT pk_reports PRIMARY KEY (kind, version, eval_set_id)
);

CREATE TABLE retention_limits (
	name TEXT NOT NULL, 
	days BIGINT NOT NULL, 
	PRIMARY KEY (name)
);

CREATE TABLE rounds (
	round TEXT NOT NULL, 
	seq BIGINT NOT NULL, 
	night TEXT NOT NULL, 
	settings_digest TEXT NOT NULL, 
	pool_size BIGINT NOT NULL, 
	selected BIGINT NOT NULL, settings TEXT, 
	CONSTRAINT pk_rounds PRIMARY KEY (round), 
	CONSTRAINT uq_rounds_seq UNIQUE (seq)
);

CREATE TABLE scores (
	utterance_id TEXT NOT NULL, 
	asr_version TEXT NOT NULL, 
	intent_version TEXT NOT NULL, 
	part TEXT NOT NULL, 
	"row" BIGINT NOT NULL, 
	hypotheses BLOB, 
	CONSTRAINT pk_scores PRIMARY KEY (utterance_id, asr_version, intent_version), 
	CONSTRAINT fk_scores_part FOREIGN KEY(part) REFERENCES parts (path), 
	CONSTRAINT fk_scores_utterance_id FOREIGN KEY(utterance_id) REFERENCES utterances (utterance_id)
);

CREATE TABLE selections (
	round TEXT NOT NULL, 
	utterance_id TEXT NOT NULL, 
	rank BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	ask TEXT NOT NULL, 
	score DOUBLE NOT NULL, 
	inclusion_prob DOUBLE NOT NULL, 
	cost DOUBLE NOT NULL, 
	CONSTRAINT pk_selections PRIMARY KEY (round, utterance_id), 
	CONSTRAINT fk_selections_round FOREIGN KEY(round) REFERENCES rounds (round), 
	CONSTRAINT fk_selections_utterance_id FOREIGN KEY(utterance_id) REFERENCES utterances (utterance_id)
);

CREATE TABLE snapshot_rows (
	snapshot_id TEXT NOT NULL, 
	utterance_id TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	role TEXT NOT NULL, 
	weight DOUBLE NOT NULL, 
	CONSTRAINT pk_snapshot_rows PRIMARY KEY (snapshot_id, utterance_id), 
	CONSTRAINT fk_snapshot_rows_snapshot_id FOREIGN KEY(snapshot_id) REFERENCES snapshots (snapshot_id)
);

CREATE TABLE snapshots (
	snapshot_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	eval_set_id TEXT NOT NULL, 
	CONSTRAINT pk_snapshots PRIMARY KEY (snapshot_id)
);

CREATE TABLE tasks (
	task_id TEXT NOT NULL, 
	round TEXT NOT NULL, 
	utterance_id TEXT NOT NULL, 
	ask TEXT NOT NULL, 
	state TEXT NOT NULL, 
	draft_shown BOOLEAN NOT NULL, 
	CONSTRAINT pk_tasks PRIMARY KEY (task_id), 
	CONSTRAINT ck_tasks_state CHECK (state IN ('open', 'exported', 'answered', 'closed')), 
	CONSTRAINT fk_tasks_round_utterance_id FOREIGN KEY(round, utterance_id) REFERENCES selections (round, utterance_id)
);

CREATE TABLE training_costs (
	kind TEXT NOT NULL, 
	version TEXT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	CONSTRAINT pk_training_costs PRIMARY KEY (kind, version), 
	CONSTRAINT fk_training_costs_kind_version FOREIGN KEY(kind, version) REFERENCES model_versions (kind, version)
);

CREATE TABLE trial_figures (
	operation_id TEXT NOT NULL, 
	errors TEXT NOT NULL, 
	base_errors TEXT NOT NULL, 
	units TEXT NOT NULL, 
	CONSTRAINT pk_trial_figures PRIMARY KEY (operation_id)
);

CREATE TABLE trial_rows (
	operation_id TEXT NOT NULL, 
	utterance_id TEXT NOT NULL, 
	CONSTRAINT pk_trial_rows PRIMARY KEY (operation_id, utterance_id), 
	CONSTRAINT fk_trial_rows_operation_id FOREIGN KEY(operation_id) REFERENCES trial_figures (operation_id)
);

CREATE TABLE utterances (
	utterance_id TEXT NOT NULL, 
	event_order BIGINT NOT NULL, 
	speaker_id TEXT NOT NULL, 
	arrived_at DATETIME NOT NULL, 
	sample_rate BIGINT NOT NULL, 
	num_samples BIGINT NOT NULL, 
	locale TEXT NOT NULL, 
	device_type TEXT NOT NULL, 
	wake TEXT NOT NULL, 
	split TEXT NOT NULL, 
	attributes TEXT NOT NULL, 
	pack TEXT, 
	pack_offset BIGINT, 
	pack_length BIGINT, 
	state TEXT NOT NULL, 
	state_reason TEXT NOT NULL, 
	operation_id TEXT NOT NULL, expired_as TEXT, 
	CONSTRAINT pk_utterances PRIMARY KEY (utterance_id), 
	CONSTRAINT ck_utterances_state CHECK (state IN ('accepted', 'set_aside', 'erased')), 
	CONSTRAINT fk_utterances_pack FOREIGN KEY(pack) REFERENCES packs (pack), 
	CONSTRAINT uq_utterances_event_order UNIQUE (event_order)
);

CREATE INDEX ix_leases_until ON leases (until);

CREATE INDEX ix_snapshot_rows_utterance_id ON snapshot_rows (utterance_id);

CREATE INDEX ix_utterances_arrived_at ON utterances (arrived_at);

CREATE INDEX ix_utterances_pack ON utterances (pack);

CREATE INDEX ix_utterances_speaker_id ON utterances (speaker_id);

CREATE INDEX ix_utterances_state ON utterances (state);

CREATE UNIQUE INDEX uq_labels_current ON labels (utterance_id) WHERE current;

CREATE INDEX ix_scores_part ON scores (part);

CREATE INDEX ix_selections_utterance_id ON selections (utterance_id);

CREATE INDEX ix_tasks_round_utterance_id ON tasks (round, utterance_id);

CREATE INDEX ix_tasks_utterance_id ON tasks (utterance_id);

CREATE INDEX ix_annotations_utterance_id ON annotations (utterance_id);

CREATE INDEX ix_assignments_annotator_id ON assignments (annotator_id);

CREATE INDEX ix_pseudo_labels_utterance_id ON pseudo_labels (utterance_id);

CREATE INDEX ix_report_rows_utterance_id ON report_rows (utterance_id);

CREATE INDEX ix_left_out_utterance_id ON left_out (utterance_id);

CREATE INDEX ix_dataset_rows_utterance_id ON dataset_rows (utterance_id);

CREATE INDEX ix_trial_rows_utterance_id ON trial_rows (utterance_id);

