#!/bin/bash
# Assembles Elasticsearch from what Maven Central has: the distribution of the integration tests (core, x-pack core and
# security, netty) and the jars of seven modules, which want a descriptor each. Result in /usr/share/elasticsearch.
set -euo pipefail
version=7.17.29
home=/usr/share/elasticsearch
jars=/tmp/jars
mkdir -p "$jars" && cd "$jars"

fetch() { # group:artifact:version[:packaging]
    mvn -q -B -C org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get -Dtransitive=false -Dartifact="$1"
}
fetch "org.elasticsearch.distribution.integ-test-zip:elasticsearch:$version:zip"
fetch "org.elasticsearch.client:elasticsearch-rest-client:$version"
fetch com.github.spullara.mustache.java:compiler:0.9.6
modules=(
    "reindex org.elasticsearch.reindex.ReindexPlugin"
    "lang-mustache org.elasticsearch.script.mustache.MustachePlugin"
    "aggs-matrix-stats org.elasticsearch.search.aggregations.matrix.MatrixAggregationPlugin"
    "mapper-extras org.elasticsearch.index.mapper.MapperExtrasPlugin"
    "parent-join org.elasticsearch.join.ParentJoinPlugin"
    "percolator org.elasticsearch.percolator.PercolatorPlugin"
    "rank-eval org.elasticsearch.index.rankeval.RankEvalPlugin"
)
for module in "${modules[@]}"; do fetch "org.elasticsearch.plugin:${module%% *}-client:$version"; done
while read -r _ file; do
    find "$HOME/.m2" -name "$file" -exec cp {} . \;
done < /build/SHA256SUMS
sha256sum --check --strict --quiet /build/SHA256SUMS

unzip -q "elasticsearch-$version.zip" -d /usr/share && mv "/usr/share/elasticsearch-$version" "$home"
for module in "${modules[@]}"; do
    name="${module%% *}" folder="$home/modules/${module%% *}"
    mkdir -p "$folder"
    cp "$name-client-$version.jar" "$folder/"
    cat > "$folder/plugin-descriptor.properties" <<DESCRIPTOR
type=isolated
description=$name
version=$version
name=$name
classname=${module#* }
java.version=1.8
elasticsearch.version=$version
extended.plugins=
has.native.controller=false
DESCRIPTOR
done
# reindex asks other clusters over HTTP; x-pack core has most of what that takes.
cp "elasticsearch-rest-client-$version.jar" "$home"/modules/x-pack-core/{elasticsearch-ssl-config,http,commons-}*.jar "$home/modules/reindex/"
cp compiler-0.9.6.jar "$home/modules/lang-mustache/"
cat > "$home/modules/lang-mustache/plugin-security.policy" <<'POLICY'
grant {
  permission java.lang.RuntimePermission "accessDeclaredMembers";
  permission java.lang.RuntimePermission "getClassLoader";
  permission java.lang.reflect.ReflectPermission "suppressAccessChecks";
};
POLICY

# Settings by environment (`discovery.type=single-node`, ES_SETTING_...), as in the upstream image.
sed -i 's/^ES_DISTRIBUTION_TYPE=.*/ES_DISTRIBUTION_TYPE=docker/' "$home/bin/elasticsearch-env"
grep -q '^ES_DISTRIBUTION_TYPE=docker' "$home/bin/elasticsearch-env"
rm -f "$home"/bin/*.bat "$home"/bin/*.exe
mkdir -p "$home/data" "$home/logs" "$home/plugins" "$home/config/jvm.options.d"
