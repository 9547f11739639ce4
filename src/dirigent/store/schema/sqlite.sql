-- 0013_rows
-- Written by `make schema` from the steps in store/migrations;

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE tenants (
	name TEXT NOT NULL,
	title TEXT NOT NULL,
	zone TEXT NOT NULL,
	currency TEXT NOT NULL,
	models TEXT NOT NULL,
	denied TEXT NOT NULL,
	blocked BIGINT,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	CONSTRAINT tenants_key PRIMARY KEY (name)
);

CREATE INDEX tenants_by_changed ON tenants (changed);

CREATE TABLE projects (
	tenant TEXT NOT NULL,
	name TEXT NOT NULL,
	title TEXT NOT NULL,
	models TEXT NOT NULL,
	denied TEXT NOT NULL,
	blocked BIGINT,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	CONSTRAINT projects_key PRIMARY KEY (tenant, name),
	CONSTRAINT projects_of_tenants FOREIGN KEY(tenant) REFERENCES tenants (name)
);

CREATE INDEX projects_by_changed ON projects (changed);

CREATE TABLE members (
	tenant TEXT NOT NULL,
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	email TEXT,
	role TEXT NOT NULL,
	password TEXT,
	external TEXT,
	blocked BIGINT,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	CONSTRAINT members_key PRIMARY KEY (tenant, id),
	CONSTRAINT members_one_tenant_email UNIQUE (tenant, email),
	CONSTRAINT members_one_tenant_external UNIQUE (tenant, external),
	CONSTRAINT members_of_tenants FOREIGN KEY(tenant) REFERENCES tenants (name)
);

CREATE INDEX members_by_changed ON members (changed);

CREATE TABLE virtual_keys (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	project TEXT NOT NULL,
	member TEXT,
	title TEXT NOT NULL,
	digest BLOB NOT NULL,
	hint TEXT NOT NULL,
	purposes TEXT NOT NULL,
	models TEXT NOT NULL,
	denied TEXT NOT NULL,
	origin TEXT NOT NULL,
	replaces TEXT,
	created BIGINT NOT NULL,
	expires BIGINT,
	revoked BIGINT,
	blocked BIGINT,
	changed BIGINT NOT NULL,
	CONSTRAINT virtual_keys_key PRIMARY KEY (id),
	CONSTRAINT virtual_keys_of_projects FOREIGN KEY(tenant, project) REFERENCES projects (tenant, name),
	CONSTRAINT virtual_keys_of_members FOREIGN KEY(tenant, member) REFERENCES members (tenant, id),
	CONSTRAINT virtual_keys_one_digest UNIQUE (digest)
);

CREATE INDEX virtual_keys_by_changed ON virtual_keys (changed);

CREATE TABLE purposes (
	tenant TEXT NOT NULL,
	name TEXT NOT NULL,
	revision INTEGER NOT NULL,
	document TEXT NOT NULL,
	retired BIGINT,
	since BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	CONSTRAINT purposes_key PRIMARY KEY (tenant, name, revision),
	CONSTRAINT purposes_of_tenants FOREIGN KEY(tenant) REFERENCES tenants (name)
);

CREATE INDEX purposes_by_changed ON purposes (changed);

CREATE TABLE allowances (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	level TEXT NOT NULL,
	subject TEXT NOT NULL,
	unit TEXT NOT NULL,
	most BIGINT NOT NULL,
	span TEXT NOT NULL,
	zone TEXT NOT NULL,
	currency TEXT NOT NULL,
	warn INTEGER NOT NULL,
	thrift INTEGER NOT NULL,
	stopped BIGINT,
	removed BIGINT,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	CONSTRAINT allowances_key PRIMARY KEY (id),
	CONSTRAINT allowances_of_tenants FOREIGN KEY(tenant) REFERENCES tenants (name)
);

CREATE INDEX allowances_by_changed ON allowances (changed);

CREATE INDEX allowances_by_tenant ON allowances (tenant);

CREATE TABLE rates (
	tenant TEXT NOT NULL,
	source TEXT NOT NULL,
	target TEXT NOT NULL,
	since BIGINT NOT NULL,
	rate TEXT NOT NULL,
	changed BIGINT NOT NULL,
	CONSTRAINT rates_key PRIMARY KEY (tenant, source, target, since),
	CONSTRAINT rates_of_tenants FOREIGN KEY(tenant) REFERENCES tenants (name)
);

CREATE INDEX rates_by_changed ON rates (changed);

CREATE TABLE sessions (
	digest BLOB NOT NULL,
	tenant TEXT NOT NULL,
	member TEXT NOT NULL,
	created BIGINT NOT NULL,
	seen BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	CONSTRAINT sessions_key PRIMARY KEY (digest),
	CONSTRAINT sessions_of_members FOREIGN KEY(tenant, member) REFERENCES members (tenant, id)
);

CREATE INDEX sessions_by_expires ON sessions (expires);

CREATE TABLE sign_in_failures (
	who BLOB NOT NULL,
	times INTEGER NOT NULL,
	last BIGINT NOT NULL,
	CONSTRAINT sign_in_failures_key PRIMARY KEY (who)
);

CREATE INDEX sign_in_failures_by_last ON sign_in_failures (last);

CREATE TABLE pulse (
	topic TEXT NOT NULL,
	sequence BIGINT NOT NULL,
	CONSTRAINT pulse_key PRIMARY KEY (topic)
);

CREATE TABLE downgrades (
	revision TEXT NOT NULL,
	"before" TEXT,
	statements TEXT NOT NULL,
	CONSTRAINT downgrades_key PRIMARY KEY (revision)
);

CREATE TABLE ledger_holders (
	id TEXT NOT NULL,
	node TEXT NOT NULL,
	epoch BIGINT NOT NULL,
	over INTEGER NOT NULL,
	seen BIGINT NOT NULL,
	posted BIGINT NOT NULL,
	flushed BIGINT NOT NULL,
	CONSTRAINT ledger_holders_key PRIMARY KEY (id)
);

CREATE TABLE ledger_windows (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	allowance TEXT NOT NULL,
	unit TEXT NOT NULL,
	span TEXT NOT NULL,
	starts BIGINT NOT NULL,
	ends BIGINT,
	most BIGINT NOT NULL,
	version BIGINT NOT NULL,
	booked BIGINT NOT NULL,
	presumed BIGINT NOT NULL,
	overrun BIGINT NOT NULL,
	leased BIGINT NOT NULL,
	wanted BIGINT NOT NULL,
	scarce BIGINT NOT NULL,
	CONSTRAINT ledger_windows_key PRIMARY KEY (id),
	CONSTRAINT ledger_windows_check_counts CHECK (booked >= 0 AND presumed >= 0 AND overrun >= 0 AND leased >= 0)
);

CREATE INDEX ledger_windows_by_allowance ON ledger_windows (allowance, starts);

CREATE TABLE ledger_leases (
	holder TEXT NOT NULL,
	window_id TEXT NOT NULL,
	amount BIGINT NOT NULL,
	answered BIGINT NOT NULL,
	presumed INTEGER NOT NULL,
	CONSTRAINT ledger_leases_key PRIMARY KEY (holder, window_id),
	CONSTRAINT ledger_leases_check_amount CHECK (amount >= 0),
	CONSTRAINT ledger_leases_of_ledger_holders FOREIGN KEY(holder) REFERENCES ledger_holders (id),
	CONSTRAINT ledger_leases_of_ledger_windows FOREIGN KEY(window_id) REFERENCES ledger_windows (id)
);

CREATE INDEX ledger_leases_by_window_id ON ledger_leases (window_id);

CREATE TABLE documents (
	tenant TEXT NOT NULL,
	revision TEXT NOT NULL,
	digest TEXT NOT NULL,
	body BLOB NOT NULL,
	CONSTRAINT documents_key PRIMARY KEY (tenant, revision)
);

CREATE TABLE publications (
	tenant TEXT NOT NULL,
	number BIGINT NOT NULL,
	revision TEXT NOT NULL,
	parent TEXT,
	author TEXT NOT NULL,
	reason TEXT NOT NULL,
	act TEXT NOT NULL,
	changes TEXT NOT NULL,
	at BIGINT NOT NULL,
	CONSTRAINT publications_key PRIMARY KEY (tenant, number),
	CONSTRAINT publications_of_documents FOREIGN KEY(tenant, revision) REFERENCES documents (tenant, revision)
);

CREATE TABLE publication_heads (
	tenant TEXT NOT NULL,
	number BIGINT NOT NULL,
	CONSTRAINT publication_heads_key PRIMARY KEY (tenant)
);

CREATE TABLE taken_files (
	tenant TEXT NOT NULL,
	node TEXT NOT NULL,
	revision TEXT NOT NULL,
	at BIGINT NOT NULL,
	CONSTRAINT taken_files_key PRIMARY KEY (tenant, node)
);

CREATE TABLE aliases (
	tenant TEXT NOT NULL,
	name TEXT NOT NULL,
	model TEXT NOT NULL,
	shares TEXT NOT NULL,
	author TEXT NOT NULL,
	at BIGINT NOT NULL,
	CONSTRAINT aliases_key PRIMARY KEY (tenant, name)
);

CREATE TABLE nodes (
	tenant TEXT NOT NULL,
	node TEXT NOT NULL,
	worker TEXT NOT NULL,
	number BIGINT NOT NULL,
	revision TEXT NOT NULL,
	seen BIGINT NOT NULL,
	CONSTRAINT nodes_key PRIMARY KEY (tenant, node, worker)
);

CREATE TABLE audit_entries (
	tenant TEXT NOT NULL,
	seq BIGINT NOT NULL,
	at BIGINT NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	resource TEXT NOT NULL,
	entry TEXT NOT NULL,
	hash TEXT NOT NULL,
	CONSTRAINT audit_entries_key PRIMARY KEY (tenant, seq)
);

CREATE TABLE audit_heads (
	tenant TEXT NOT NULL,
	seq BIGINT NOT NULL,
	at BIGINT NOT NULL,
	hash TEXT NOT NULL,
	signed BIGINT NOT NULL,
	signed_at BIGINT NOT NULL,
	CONSTRAINT audit_heads_key PRIMARY KEY (tenant)
);

CREATE TABLE audit_checkpoints (
	tenant TEXT NOT NULL,
	number BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	statement TEXT NOT NULL,
	public_key TEXT NOT NULL,
	signature TEXT NOT NULL,
	CONSTRAINT audit_checkpoints_key PRIMARY KEY (tenant, number)
);

CREATE TABLE drained (
	file TEXT NOT NULL,
	position BIGINT NOT NULL,
	CONSTRAINT drained_key PRIMARY KEY (file)
);

CREATE TABLE key_epochs (
	epoch INTEGER NOT NULL,
	proof BLOB NOT NULL,
	made BIGINT NOT NULL,
	destroyed BIGINT,
	CONSTRAINT key_epochs_key PRIMARY KEY (epoch)
);

CREATE TABLE subject_keys (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	subject BLOB NOT NULL,
	epoch INTEGER NOT NULL,
	wrapped BLOB NOT NULL,
	made BIGINT NOT NULL,
	CONSTRAINT subject_keys_key PRIMARY KEY (id)
);

CREATE INDEX subject_keys_by_subject ON subject_keys (tenant, subject);

CREATE TABLE shredded_subjects (
	tenant TEXT NOT NULL,
	subject BLOB NOT NULL,
	at BIGINT NOT NULL,
	CONSTRAINT shredded_subjects_key PRIMARY KEY (tenant, subject)
);

CREATE TABLE bodies (
	tenant TEXT NOT NULL,
	run TEXT NOT NULL,
	kind TEXT NOT NULL,
	"key" TEXT NOT NULL,
	dek BLOB NOT NULL,
	nonce BLOB NOT NULL,
	sealed BLOB NOT NULL,
	at BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	CONSTRAINT bodies_key PRIMARY KEY (tenant, run, kind)
);

CREATE INDEX bodies_by_expires ON bodies (expires);

CREATE INDEX bodies_by_key ON bodies ("key");

CREATE TABLE record_words (
	id INTEGER NOT NULL,
	word TEXT NOT NULL,
	CONSTRAINT record_words_key PRIMARY KEY (id),
	CONSTRAINT record_words_one_word UNIQUE (word)
);

CREATE TABLE records (
	tenant INTEGER NOT NULL,
	id BIGINT NOT NULL,
	run BLOB NOT NULL,
	project INTEGER,
	purpose INTEGER,
	"key" INTEGER,
	member INTEGER,
	path INTEGER,
	model INTEGER,
	deployment INTEGER,
	revision INTEGER,
	status INTEGER NOT NULL,
	code INTEGER,
	flags INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	input_tokens BIGINT,
	output_tokens BIGINT,
	cached_tokens BIGINT,
	reasoning_tokens BIGINT,
	cost BIGINT,
	currency INTEGER,
	duration BIGINT NOT NULL,
	first_token BIGINT,
	transaction_id TEXT,
	request TEXT,
	route TEXT,
	CONSTRAINT records_key PRIMARY KEY (tenant, id)
)
 WITHOUT ROWID;

CREATE INDEX records_by_key ON records (tenant, "key", id);

CREATE INDEX records_by_run ON records (run);

CREATE INDEX records_by_transaction ON records (tenant, transaction_id) WHERE transaction_id IS NOT NULL;

CREATE TABLE usage_rollups (
	tenant INTEGER NOT NULL,
	grain INTEGER NOT NULL,
	starts BIGINT NOT NULL,
	project INTEGER NOT NULL,
	purpose INTEGER NOT NULL,
	model INTEGER NOT NULL,
	deployment INTEGER NOT NULL,
	code INTEGER NOT NULL,
	currency INTEGER NOT NULL,
	requests BIGINT NOT NULL,
	input_tokens BIGINT NOT NULL,
	output_tokens BIGINT NOT NULL,
	cached_tokens BIGINT NOT NULL,
	reasoning_tokens BIGINT NOT NULL,
	cost BIGINT NOT NULL,
	unpriced BIGINT NOT NULL,
	latency TEXT NOT NULL,
	first_token TEXT NOT NULL,
	CONSTRAINT usage_rollups_key PRIMARY KEY (tenant, grain, starts, project, purpose, model, deployment, code, currency)
)
 WITHOUT ROWID;

CREATE TABLE usage_people (
	tenant INTEGER NOT NULL,
	starts BIGINT NOT NULL,
	"key" INTEGER NOT NULL,
	member INTEGER NOT NULL,
	project INTEGER NOT NULL,
	purpose INTEGER NOT NULL,
	model INTEGER NOT NULL,
	deployment INTEGER NOT NULL,
	code INTEGER NOT NULL,
	currency INTEGER NOT NULL,
	requests BIGINT NOT NULL,
	input_tokens BIGINT NOT NULL,
	output_tokens BIGINT NOT NULL,
	cached_tokens BIGINT NOT NULL,
	reasoning_tokens BIGINT NOT NULL,
	cost BIGINT NOT NULL,
	unpriced BIGINT NOT NULL,
	CONSTRAINT usage_people_key PRIMARY KEY (tenant, starts, "key", member, project, purpose, model, deployment, code, currency)
)
 WITHOUT ROWID;

CREATE TABLE approvals (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	run TEXT NOT NULL,
	path TEXT NOT NULL,
	model TEXT NOT NULL,
	project TEXT NOT NULL,
	purpose TEXT,
	submitter TEXT,
	own INTEGER NOT NULL,
	eyes INTEGER NOT NULL,
	asked BIGINT NOT NULL,
	due BIGINT,
	ends BIGINT,
	escalated BIGINT,
	looks BIGINT,
	tells BIGINT,
	version INTEGER NOT NULL,
	seeded INTEGER NOT NULL,
	outcome TEXT,
	decided BIGINT,
	decided_by TEXT,
	edited INTEGER,
	"key" TEXT,
	sealed BLOB,
	CONSTRAINT approvals_key PRIMARY KEY (id)
);

CREATE INDEX approvals_by_key ON approvals ("key");

CREATE INDEX approvals_by_run ON approvals (run);

CREATE INDEX approvals_by_tenant_decided ON approvals (tenant, decided);

CREATE INDEX approvals_look ON approvals (looks) WHERE looks IS NOT NULL;

CREATE INDEX approvals_open ON approvals (tenant, asked) WHERE outcome IS NULL;

CREATE INDEX approvals_tell ON approvals (tells) WHERE tells IS NOT NULL;

CREATE TABLE approval_deciders (
	approval TEXT NOT NULL,
	who TEXT NOT NULL,
	since BIGINT NOT NULL,
	manner TEXT NOT NULL,
	told BIGINT,
	CONSTRAINT approval_deciders_key PRIMARY KEY (approval, who),
	CONSTRAINT approval_deciders_of_approvals FOREIGN KEY(approval) REFERENCES approvals (id) ON DELETE CASCADE
);

CREATE INDEX approval_deciders_by_who ON approval_deciders (who);

CREATE TABLE approval_votes (
	approval TEXT NOT NULL,
	number INTEGER NOT NULL,
	member TEXT NOT NULL,
	version INTEGER NOT NULL,
	outcome TEXT NOT NULL,
	at BIGINT NOT NULL,
	"key" TEXT,
	sealed BLOB,
	CONSTRAINT approval_votes_key PRIMARY KEY (approval, number),
	CONSTRAINT approval_votes_of_approvals FOREIGN KEY(approval) REFERENCES approvals (id) ON DELETE CASCADE
);

CREATE INDEX approval_votes_by_key ON approval_votes ("key");

CREATE TABLE approval_links (
	digest BLOB NOT NULL,
	approval TEXT NOT NULL,
	member TEXT NOT NULL,
	expires BIGINT NOT NULL,
	used BIGINT,
	CONSTRAINT approval_links_key PRIMARY KEY (digest),
	CONSTRAINT approval_links_of_approvals FOREIGN KEY(approval) REFERENCES approvals (id) ON DELETE CASCADE
);

CREATE INDEX approval_links_by_approval ON approval_links (approval);

CREATE TABLE happenings (
	seq BIGINT NOT NULL,
	tenant TEXT NOT NULL,
	at BIGINT NOT NULL,
	kind TEXT NOT NULL,
	mark TEXT,
	event TEXT NOT NULL,
	CONSTRAINT happenings_key PRIMARY KEY (seq),
	CONSTRAINT happenings_one_mark UNIQUE (mark)
);

CREATE INDEX happenings_by_tenant_seq ON happenings (tenant, seq);

CREATE TABLE resting (
	tenant TEXT NOT NULL,
	node TEXT NOT NULL,
	worker TEXT NOT NULL,
	deployment TEXT NOT NULL,
	since BIGINT NOT NULL,
	CONSTRAINT resting_key PRIMARY KEY (tenant, node, worker, deployment)
);

CREATE TABLE alert_rules (
	tenant TEXT NOT NULL,
	name TEXT NOT NULL,
	document TEXT NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	CONSTRAINT alert_rules_key PRIMARY KEY (tenant, name),
	CONSTRAINT alert_rules_of_tenants FOREIGN KEY(tenant) REFERENCES tenants (name)
);

CREATE TABLE alerts (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	rule TEXT NOT NULL,
	about TEXT NOT NULL,
	severity TEXT NOT NULL,
	words TEXT NOT NULL,
	raised BIGINT NOT NULL,
	resolved BIGINT,
	CONSTRAINT alerts_key PRIMARY KEY (id)
);

CREATE INDEX alerts_by_tenant_raised ON alerts (tenant, raised);

CREATE UNIQUE INDEX alerts_one_open ON alerts (tenant, rule, about) WHERE resolved IS NULL;

CREATE TABLE alert_deliveries (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	rule TEXT NOT NULL,
	alert TEXT,
	channel TEXT NOT NULL,
	target TEXT NOT NULL,
	body TEXT NOT NULL,
	made BIGINT NOT NULL,
	due BIGINT,
	attempts INTEGER NOT NULL,
	delivered BIGINT,
	fault TEXT,
	CONSTRAINT alert_deliveries_key PRIMARY KEY (id)
);

CREATE INDEX alert_deliveries_by_alert ON alert_deliveries (alert);

CREATE INDEX alert_deliveries_by_made ON alert_deliveries (made);

CREATE INDEX alert_deliveries_due ON alert_deliveries (due) WHERE due IS NOT NULL;

CREATE TABLE duties (
	name TEXT NOT NULL,
	holder TEXT NOT NULL,
	until BIGINT NOT NULL,
	CONSTRAINT duties_key PRIMARY KEY (name)
);

CREATE TABLE record_stretches (
	tenant INTEGER NOT NULL,
	"key" INTEGER NOT NULL,
	starts BIGINT NOT NULL,
	purpose INTEGER NOT NULL,
	CONSTRAINT record_stretches_key PRIMARY KEY (tenant, "key", starts, purpose)
)
 WITHOUT ROWID;

DROP INDEX records_by_key;

DROP INDEX records_by_run;

CREATE INDEX records_by_run ON records (substr(run, 1, 3));

CREATE TABLE runs (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	project TEXT NOT NULL,
	virtual_key TEXT NOT NULL,
	purpose TEXT,
	model TEXT NOT NULL,
	revision TEXT NOT NULL,
	bulk TEXT,
	place INTEGER,
	status TEXT NOT NULL,
	priority INTEGER NOT NULL,
	fence BIGINT NOT NULL,
	owner TEXT,
	due BIGINT,
	news INTEGER NOT NULL,
	lapses INTEGER NOT NULL,
	stopped TEXT,
	length INTEGER NOT NULL,
	submitted BIGINT NOT NULL,
	ended BIGINT,
	facts TEXT NOT NULL,
	"key" TEXT,
	sealed BLOB,
	CONSTRAINT runs_key PRIMARY KEY (id)
);

CREATE INDEX runs_by_bulk ON runs (bulk, place) WHERE bulk IS NOT NULL;

CREATE INDEX runs_by_due ON runs (priority, due) WHERE due IS NOT NULL;

CREATE INDEX runs_by_ended ON runs (ended) WHERE ended IS NOT NULL;

CREATE INDEX runs_by_key ON runs ("key");

CREATE INDEX runs_by_submitted ON runs (tenant, submitted);

CREATE TABLE run_entries (
	run TEXT NOT NULL,
	seq INTEGER NOT NULL,
	at BIGINT NOT NULL,
	kind TEXT NOT NULL,
	path TEXT,
	facts TEXT NOT NULL,
	sealed BLOB,
	CONSTRAINT run_entries_key PRIMARY KEY (run, seq)
)
 WITHOUT ROWID;

CREATE UNIQUE INDEX run_entries_one_decision ON run_entries (run, path) WHERE kind = 'decided';

CREATE TABLE run_files (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	run TEXT NOT NULL,
	name TEXT NOT NULL,
	content_type TEXT NOT NULL,
	size BIGINT NOT NULL,
	digest TEXT NOT NULL,
	at BIGINT NOT NULL,
	"key" TEXT NOT NULL,
	sealed BLOB NOT NULL,
	CONSTRAINT run_files_key PRIMARY KEY (id)
);

CREATE INDEX run_files_by_key ON run_files ("key");

CREATE INDEX run_files_by_run ON run_files (run);

CREATE TABLE bulks (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	model TEXT NOT NULL,
	revision TEXT NOT NULL,
	project TEXT NOT NULL,
	virtual_key TEXT NOT NULL,
	member TEXT,
	purpose TEXT,
	purposes TEXT NOT NULL,
	parallel INTEGER NOT NULL,
	total INTEGER NOT NULL,
	state TEXT NOT NULL,
	author TEXT NOT NULL,
	created BIGINT NOT NULL,
	ended BIGINT,
	CONSTRAINT bulks_key PRIMARY KEY (id),
	CONSTRAINT bulks_of_tenants FOREIGN KEY(tenant) REFERENCES tenants (name)
);

CREATE INDEX bulks_by_tenant_created ON bulks (tenant, created);

CREATE INDEX bulks_running ON bulks (created) WHERE state = 'running';

CREATE TABLE bulk_rows (
	bulk TEXT NOT NULL,
	place INTEGER NOT NULL,
	"key" TEXT,
	sealed BLOB,
	CONSTRAINT bulk_rows_key PRIMARY KEY (bulk, place),
	CONSTRAINT bulk_rows_of_bulks FOREIGN KEY(bulk) REFERENCES bulks (id) ON DELETE CASCADE
);

CREATE INDEX bulk_rows_by_key ON bulk_rows ("key");

CREATE TABLE schedules (
	tenant TEXT NOT NULL,
	name TEXT NOT NULL,
	model TEXT NOT NULL,
	cron TEXT NOT NULL,
	zone TEXT NOT NULL,
	missed TEXT NOT NULL,
	virtual_key TEXT NOT NULL,
	member TEXT,
	purpose TEXT,
	priority TEXT NOT NULL,
	paused INTEGER NOT NULL,
	author TEXT NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	next BIGINT,
	last BIGINT,
	last_run TEXT,
	fault TEXT,
	"key" TEXT,
	sealed BLOB,
	CONSTRAINT schedules_key PRIMARY KEY (tenant, name),
	CONSTRAINT schedules_of_tenants FOREIGN KEY(tenant) REFERENCES tenants (name)
);

CREATE INDEX schedules_by_key ON schedules ("key");

CREATE INDEX schedules_by_next ON schedules (next) WHERE next IS NOT NULL;

CREATE TABLE run_deliveries (
	id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	run TEXT NOT NULL,
	target TEXT NOT NULL,
	body TEXT NOT NULL,
	made BIGINT NOT NULL,
	due BIGINT,
	attempts INTEGER NOT NULL,
	fault TEXT,
	CONSTRAINT run_deliveries_key PRIMARY KEY (id)
);

CREATE INDEX run_deliveries_by_run ON run_deliveries (run);

CREATE INDEX run_deliveries_due ON run_deliveries (due) WHERE due IS NOT NULL;

CREATE TABLE knowledge_documents (
	tenant TEXT NOT NULL,
	collection TEXT NOT NULL,
	document TEXT NOT NULL,
	stamp TEXT NOT NULL,
	pieces INTEGER NOT NULL,
	fault TEXT NOT NULL,
	learned BIGINT NOT NULL,
	CONSTRAINT knowledge_documents_key PRIMARY KEY (tenant, collection, document)
);

CREATE TABLE knowledge_pieces (
	tenant TEXT NOT NULL,
	collection TEXT NOT NULL,
	document TEXT NOT NULL,
	position INTEGER NOT NULL,
	heading TEXT NOT NULL,
	page INTEGER,
	text TEXT NOT NULL,
	vector BLOB,
	CONSTRAINT knowledge_pieces_key PRIMARY KEY (tenant, collection, document, position)
);

CREATE TABLE record_groups (
	id INTEGER NOT NULL,
	tenant INTEGER NOT NULL,
	project INTEGER NOT NULL,
	purpose INTEGER NOT NULL,
	"key" INTEGER NOT NULL,
	member INTEGER NOT NULL,
	path INTEGER NOT NULL,
	model INTEGER NOT NULL,
	deployment INTEGER NOT NULL,
	revision INTEGER NOT NULL,
	code INTEGER NOT NULL,
	currency INTEGER NOT NULL,
	status INTEGER NOT NULL,
	latest BIGINT NOT NULL,
	CONSTRAINT record_groups_key PRIMARY KEY (id),
	CONSTRAINT record_groups_one_tenant_project_purpose_key_member_path_model_deployment_revision_code_currency_status UNIQUE (tenant, project, purpose, "key", member, path, model, deployment, revision, code, currency, status)
);

DROP INDEX records_by_run;

DROP INDEX records_by_transaction;

ALTER TABLE records RENAME TO records_before;

CREATE TABLE records (
	tenant INTEGER NOT NULL,
	id BIGINT NOT NULL,
	run BLOB NOT NULL,
	group_id INTEGER NOT NULL,
	flags INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	input_tokens BIGINT,
	output_tokens BIGINT,
	cached_tokens BIGINT,
	reasoning_tokens BIGINT,
	cost BIGINT,
	duration BIGINT NOT NULL,
	first_token BIGINT,
	transaction_id TEXT,
	request TEXT,
	route TEXT,
	CONSTRAINT records_key PRIMARY KEY (tenant, id)
)
 WITHOUT ROWID;

DROP TABLE records_before;

CREATE INDEX records_by_run ON records (substr(run, 1, 3));

CREATE INDEX records_by_transaction ON records (tenant, transaction_id) WHERE transaction_id IS NOT NULL;

CREATE INDEX records_failed ON records (tenant, id) WHERE flags >= 4;

DROP INDEX run_entries_one_decision;

ALTER TABLE run_entries RENAME TO run_entries_before;

CREATE TABLE run_entries (
	run TEXT NOT NULL,
	seq INTEGER NOT NULL,
	at BIGINT NOT NULL,
	kind TEXT NOT NULL,
	path TEXT,
	facts TEXT NOT NULL,
	sealed BLOB,
	CONSTRAINT run_entries_key PRIMARY KEY (run, seq)
);

DROP TABLE run_entries_before;

CREATE UNIQUE INDEX run_entries_one_decision ON run_entries (run, path) WHERE kind = 'decided';

INSERT INTO alembic_version (version_num) VALUES ('0013_rows');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0001_people', NULL, '["DROP TABLE downgrades","DROP TABLE pulse","DROP TABLE sign_in_failures","DROP TABLE sessions","DROP TABLE rates","DROP TABLE allowances","DROP TABLE purposes","DROP TABLE virtual_keys","DROP TABLE members","DROP TABLE projects","DROP TABLE tenants"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0002_ledger', '0001_people', '["DROP TABLE ledger_leases","DROP TABLE ledger_windows","DROP TABLE ledger_holders"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0003_revisions', '0002_ledger', '["DROP TABLE nodes","DROP TABLE aliases","DROP TABLE taken_files","DROP TABLE publication_heads","DROP TABLE publications","DROP TABLE documents"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0004_audit', '0003_revisions', '["DROP TABLE bodies","DROP TABLE shredded_subjects","DROP TABLE subject_keys","DROP TABLE key_epochs","DROP TABLE drained","DROP TABLE audit_checkpoints","DROP TABLE audit_heads","DROP TABLE audit_entries"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0005_records', '0004_audit', '["DROP TABLE usage_people","DROP TABLE usage_rollups","DROP TABLE records","DROP TABLE record_words"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0006_approvals', '0005_records', '["DROP TABLE approval_links","DROP TABLE approval_votes","DROP TABLE approval_deciders","DROP TABLE approvals"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0007_watching', '0006_approvals', '["DROP TABLE duties","DROP TABLE alert_deliveries","DROP TABLE alerts","DROP TABLE alert_rules","DROP TABLE resting","DROP TABLE happenings"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0008_stretches', '0007_watching', '["DROP INDEX records_by_run","CREATE INDEX records_by_run ON records (run)","CREATE INDEX records_by_key ON records (tenant, \"key\", id)","DROP TABLE record_stretches"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0009_runs', '0008_stretches', '["DROP TABLE run_files","DROP TABLE run_entries","DROP TABLE runs"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0010_bulk', '0009_runs', '["DROP TABLE run_deliveries","DROP TABLE schedules","DROP TABLE bulk_rows","DROP TABLE bulks"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0011_knowledge', '0010_bulk', '["DROP TABLE knowledge_pieces","DROP TABLE knowledge_documents"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0012_groups', '0011_knowledge', '["DROP INDEX records_failed","DROP INDEX records_by_run","DROP INDEX records_by_transaction","ALTER TABLE records RENAME TO records_before","CREATE TABLE records (\n    tenant INTEGER NOT NULL, \n    id BIGINT NOT NULL, \n    run BLOB NOT NULL, \n    project INTEGER, \n    purpose INTEGER, \n    \"key\" INTEGER, \n    member INTEGER, \n    path INTEGER, \n    model INTEGER, \n    deployment INTEGER, \n    revision INTEGER, \n    code INTEGER, \n    currency INTEGER, \n    status INTEGER NOT NULL, \n    flags INTEGER NOT NULL, \n    attempts INTEGER NOT NULL, \n    input_tokens BIGINT, \n    output_tokens BIGINT, \n    cached_tokens BIGINT, \n    reasoning_tokens BIGINT, \n    cost BIGINT, \n    duration BIGINT NOT NULL, \n    first_token BIGINT, \n    transaction_id TEXT, \n    request TEXT, \n    route TEXT, \n    CONSTRAINT records_key PRIMARY KEY (tenant, id)\n)\n WITHOUT ROWID","INSERT INTO records (tenant, id, run, project, purpose, key, member, path, model, deployment, revision, code, currency, status, flags, attempts, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost, duration, first_token, transaction_id, request, route)\n        SELECT r.tenant, r.id, r.run, nullif(g.project, 0), nullif(g.purpose, 0), nullif(g.key, 0), nullif(g.member, 0), nullif(g.path, 0), nullif(g.model, 0), nullif(g.deployment, 0), nullif(g.revision, 0), nullif(g.code, 0), nullif(g.currency, 0), g.status, r.flags % 4, r.attempts, r.input_tokens, r.output_tokens, r.cached_tokens, r.reasoning_tokens, r.cost, r.duration, r.first_token, r.transaction_id, r.request, r.route\n        FROM records_before r JOIN record_groups g ON g.id = r.group_id\n        ORDER BY r.tenant, r.id","DROP TABLE records_before","CREATE INDEX records_by_run ON records (substr(run, 1, 3))","CREATE INDEX records_by_transaction ON records (tenant, transaction_id) WHERE transaction_id IS NOT NULL","DROP TABLE record_groups"]');

INSERT INTO downgrades (revision, "before", statements) VALUES ('0013_rows', '0012_groups', '["UPDATE runs SET length = (SELECT coalesce(max(seq), 0) FROM run_entries WHERE run = runs.id)","DROP INDEX run_entries_one_decision","ALTER TABLE run_entries RENAME TO run_entries_before","CREATE TABLE run_entries (\n    run TEXT NOT NULL, \n    seq INTEGER NOT NULL, \n    at BIGINT NOT NULL, \n    kind TEXT NOT NULL, \n    path TEXT, \n    facts TEXT NOT NULL, \n    sealed BLOB, \n    CONSTRAINT run_entries_key PRIMARY KEY (run, seq)\n)\n WITHOUT ROWID","INSERT INTO run_entries (run, seq, at, kind, path, facts, sealed)\n        SELECT run, seq, at, kind, path, facts, sealed FROM run_entries_before ORDER BY run, seq","DROP TABLE run_entries_before","CREATE UNIQUE INDEX run_entries_one_decision ON run_entries (run, path) WHERE kind = ''decided''"]');
