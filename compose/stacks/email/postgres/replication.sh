#!/bin/bash
# Runs once, when the database is made: a standby may copy it and follow. `all` in pg_hba.conf does not mean replication.
echo "host replication all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
