CREATE TABLE device (
  device TEXT NOT NULL,
  commodity TEXT NOT NULL,
  protocol TEXT NOT NULL,
  interface TEXT NOT NULL,
  network TEXT NOT NULL,
  PRIMARY KEY (device)
);
CREATE TABLE home (
  home_id TEXT NOT NULL,
  name TEXT NOT NULL,
  zone TEXT NOT NULL,
  currency TEXT NOT NULL,
  PRIMARY KEY (home_id)
);
CREATE TABLE quarantined_row (
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  reason TEXT NOT NULL,
  octets BLOB NOT NULL,
  PRIMARY KEY (number)
);
CREATE TABLE schema_version (
  version INTEGER NOT NULL,
  PRIMARY KEY (version)
);
CREATE TABLE series (
  series_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  device TEXT NOT NULL,
  obis TEXT NOT NULL,
  unit TEXT NOT NULL,
  exponent INTEGER NOT NULL,
  UNIQUE (device, obis, unit, exponent),
  FOREIGN KEY(device) REFERENCES device (device)
);
CREATE TABLE usage_point (
  usage_point TEXT NOT NULL,
  home_id TEXT NOT NULL,
  commodity TEXT NOT NULL,
  period_s INTEGER NOT NULL,
  PRIMARY KEY (usage_point),
  FOREIGN KEY(home_id) REFERENCES home (home_id)
);
CREATE INDEX ix_usage_point_home_id ON usage_point (home_id);
CREATE TABLE installation (
  usage_point TEXT NOT NULL,
  start BIGINT NOT NULL,
  device TEXT NOT NULL,
  "end" BIGINT,
  multiplier INTEGER NOT NULL,
  opening JSON NOT NULL,
  closing JSON NOT NULL,
  width JSON NOT NULL,
  PRIMARY KEY (usage_point, start),
  FOREIGN KEY(usage_point) REFERENCES usage_point (usage_point),
  FOREIGN KEY(device) REFERENCES device (device)
);
CREATE INDEX ix_installation_device ON installation (device);
CREATE TABLE interval_version (
  usage_point TEXT NOT NULL,
  day INTEGER NOT NULL,
  version INTEGER NOT NULL,
  created_at BIGINT NOT NULL,
  reason TEXT NOT NULL,
  rule TEXT NOT NULL,
  author TEXT NOT NULL,
  step TEXT NOT NULL,
  octets BLOB NOT NULL,
  PRIMARY KEY (usage_point, day, version),
  FOREIGN KEY(usage_point) REFERENCES usage_point (usage_point)
);
CREATE TABLE tariff (
  usage_point TEXT NOT NULL,
  first_day TEXT NOT NULL,
  declaration JSON NOT NULL,
  PRIMARY KEY (usage_point, first_day),
  FOREIGN KEY(usage_point) REFERENCES usage_point (usage_point)
);
