//! The keys that servers know, each with what it holds, as data: a line a kind of map.
//!
//! `name: key=type …`. A type is `text`, `bool`, `int`, `float`, `duration`, `wait` (as Go writes
//! durations), `size`, `url`, `regex`, `any`, the name of another line, `[type]` for a list or `{type}` for a map with free keys. `+name` takes over
//! another line's keys, `@2.43` says from which version on a key is known, `-3.0` from which on no
//! more. `most(a|b)`: at most one of these; `least(a|b)`: one of them at least.

use crate::monitoring::version::Version;

/// The newest versions that these keys are of.
pub(super) const LAST_PROMETHEUS: Version = Version(3, 14);
pub(super) const LAST_ALERTMANAGER: Version = Version(0, 35);

/// What both servers use as HTTP clients.
pub(super) const HTTP: &str = "
http: +proxy basic_auth=basic authorization=authorization oauth2=oauth2 bearer_token=text bearer_token_file=text tls_config=tls follow_redirects=bool enable_http2=bool http_headers={header} most(basic_auth|authorization|oauth2|bearer_token|bearer_token_file)
proxy: proxy_url=text no_proxy=text proxy_from_environment=bool proxy_connect_header={any}
basic: username=text username_file=text username_ref=text password=text password_file=text password_ref=text most(username|username_file|username_ref) most(password|password_file|password_ref)
authorization: type=text credentials=text credentials_file=text credentials_ref=text most(credentials|credentials_file|credentials_ref)
oauth2: +proxy client_id=text client_secret=text client_secret_file=text client_secret_ref=text client_certificate_key_id=text client_certificate_key=text client_certificate_key_file=text client_certificate_key_ref=text grant_type=text signature_algorithm=text iss=text audience=text claims={any} scopes=[text] token_url=text endpoint_params={text} tls_config=tls least(client_id) least(token_url)
tls: ca=text cert=text key=text ca_file=text cert_file=text key_file=text ca_ref=text cert_ref=text key_ref=text server_name=text insecure_skip_verify=bool min_version=text max_version=text
header: values=[text] secrets=[text] files=[text]
sigv4: region=text access_key=text secret_key=text profile=text role_arn=text external_id=text use_fips_sts_endpoint=bool service_name=text
tracing: client_type=text endpoint=text sampling_fraction=float insecure=bool tls_config=tls headers={any} http_headers={any} compression=text timeout=duration
";

/// Prometheus' configuration.
pub(super) const PROMETHEUS: &str = "
file: global=global runtime=runtime alerting=alerting rule_files=[text] scrape_config_files=[text]@2.43 scrape_configs=[scrape] storage=storage tracing=tracing@2.34 remote_write=[write] remote_read=[read] otlp=otlp@2.55
scrape_file: scrape_configs=[scrape]
runtime: gogc=int
global: +limits scrape_interval=duration scrape_timeout=duration evaluation_interval=duration rule_query_offset=duration@2.53 query_log_file=text scrape_protocols=[text]@2.49 scrape_failure_log_file=text@2.55 external_labels={text} body_size_limit=size metric_name_validation_scheme=text metric_name_escaping_scheme=text scrape_native_histograms=bool convert_classic_histograms_to_nhcb=bool always_scrape_classic_histograms=bool@3.0 extra_scrape_metrics=bool
limits: sample_limit=int target_limit=int label_limit=int label_name_length_limit=int label_value_length_limit=int keep_dropped_targets=int@2.47
alerting: alert_relabel_configs=[relabel] alertmanagers=[alertmanager]
alertmanager: +http +sd static_configs=[static] sigv4=sigv4 scheme=text path_prefix=text timeout=duration api_version=text relabel_configs=[relabel] alert_relabel_configs=[relabel]@2.51
static: targets=[text] labels={text}
relabel: source_labels=[text] separator=text regex=regex modulus=int target_label=text replacement=text action=text
scrape: +http +sd +limits static_configs=[static] job_name=text honor_labels=bool honor_timestamps=bool track_timestamps_staleness=bool@2.48 params={[text]} scrape_interval=duration scrape_timeout=duration scrape_protocols=[text]@2.49 fallback_scrape_protocol=text@3.0 scrape_native_histograms=bool always_scrape_classic_histograms=bool@3.0 scrape_classic_histograms=bool-3.0 convert_classic_histograms_to_nhcb=bool scrape_failure_log_file=text@2.55 metrics_path=text scheme=text enable_compression=bool body_size_limit=size native_histogram_bucket_limit=int native_histogram_min_bucket_factor=float metric_name_validation_scheme=text metric_name_escaping_scheme=text extra_scrape_metrics=bool relabel_configs=[relabel] metric_relabel_configs=[relabel]
storage: tsdb=tsdb exemplars=exemplars
tsdb: out_of_order_time_window=duration stale_series_compaction_threshold=float chunk_encoding={text} retention=retention
retention: time=duration size=size percentage=float
exemplars: max_exemplars=int
write: +http url=url remote_timeout=duration headers={text} write_relabel_configs=[relabel] name=text send_exemplars=bool send_native_histograms=bool round_robin_dns=bool protobuf_message=text failed_request_logging=bool queue_config=queue metadata_config=metadata sigv4=sigv4 azuread=any google_iam=any least(url)
queue: capacity=int max_shards=int min_shards=int max_samples_per_send=int batch_send_deadline=duration min_backoff=duration max_backoff=duration retry_on_http_429=bool sample_age_limit=duration
metadata: send=bool send_interval=duration max_samples_per_send=int
read: +http url=url remote_timeout=duration chunked_read_limit=int headers={text} read_recent=bool name=text required_matchers={text} filter_external_labels=bool least(url)
otlp: promote_all_resource_attributes=bool promote_resource_attributes=[text] ignore_resource_attributes=[text] translation_strategy=text keep_identifying_resource_attributes=bool convert_histograms_to_nhcb=bool promote_scope_metadata=bool label_name_underscore_sanitization=bool label_name_preserve_multiple_underscores=bool
sd: aws_sd_configs=[any] azure_sd_configs=[any] consul_sd_configs=[consul] digitalocean_sd_configs=[any] dns_sd_configs=[dns] docker_sd_configs=[docker] dockerswarm_sd_configs=[swarm] ec2_sd_configs=[any] ecs_sd_configs=[any] elasticache_sd_configs=[any] eureka_sd_configs=[any] file_sd_configs=[files] gce_sd_configs=[any] hetzner_sd_configs=[any] http_sd_configs=[web] ionos_sd_configs=[any] kubernetes_sd_configs=[kubernetes] kuma_sd_configs=[any] lightsail_sd_configs=[any] linode_sd_configs=[any] marathon_sd_configs=[any] msk_sd_configs=[any] nerve_sd_configs=[any] nomad_sd_configs=[any] oci_sd_configs=[any] openstack_sd_configs=[any] outscale_sd_configs=[any] ovhcloud_sd_configs=[any] puppetdb_sd_configs=[any] rds_sd_configs=[any] scaleway_sd_configs=[any] serverset_sd_configs=[any] stackit_sd_configs=[any] triton_sd_configs=[any] uyuni_sd_configs=[any] vultr_sd_configs=[any]
consul: +http server=text path_prefix=text token=text datacenter=text namespace=text partition=text tag_separator=text scheme=text username=text password=text allow_stale=bool refresh_interval=duration services=[text] tags=[text] node_meta={text} filter=text health_filter=text
dns: names=[text] refresh_interval=duration type=text port=int least(names)
docker: +http host=text port=int filters=[filter] host_networking_host=text refresh_interval=duration match_first_network=bool least(host)
swarm: +http host=text role=text port=int filters=[filter] refresh_interval=duration least(host) least(role)
filter: name=text values=[text]
files: files=[text] refresh_interval=duration least(files)
web: +http refresh_interval=duration url=text least(url)
kubernetes: +http api_server=text role=text kubeconfig_file=text namespaces=namespaces selectors=[selector] attach_metadata=attach least(role)
namespaces: own_namespace=bool names=[text]
selector: role=text label=text field=text
attach: node=bool namespace=bool deployment=bool job=bool cronjob=bool
";

/// A rule file.
pub(super) const RULES: &str = "
file: groups=[group]
group: name=text interval=duration query_offset=duration@2.53 limit=int rules=[rule] labels={text}@3.0
rule: record=text alert=text expr=text for=duration keep_firing_for=duration@2.42 labels={text} annotations={text}
";

/// Alertmanager's configuration.
pub(super) const ALERTMANAGER: &str = "
file: global=global route=route inhibit_rules=[inhibition] receivers=[receiver] templates=[text] mute_time_intervals=[interval] time_intervals=[interval]@0.24 tracing=tracing event_recorder=any
global: resolve_timeout=duration http_config=http jira_api_url=url smtp_from=text smtp_hello=text smtp_smarthost=text smtp_auth_username=text smtp_auth_password=text smtp_auth_password_file=text smtp_auth_secret=text smtp_auth_secret_file=text smtp_auth_identity=text smtp_require_tls=bool smtp_tls_config=tls smtp_force_implicit_tls=bool slack_api_url=url slack_api_url_file=text slack_app_token=text slack_app_token_file=text slack_app_url=url pagerduty_url=url opsgenie_api_url=url opsgenie_api_key=text opsgenie_api_key_file=text wechat_api_url=url wechat_api_secret=text wechat_api_secret_file=text wechat_api_corp_id=text victorops_api_url=url victorops_api_key=text victorops_api_key_file=text telegram_api_url=url telegram_bot_token=text telegram_bot_token_file=text webex_api_url=url rocketchat_api_url=url rocketchat_token=text rocketchat_token_file=text rocketchat_token_id=text rocketchat_token_id_file=text mattermost_webhook_url=url mattermost_webhook_url_file=text most(slack_api_url|slack_api_url_file) most(opsgenie_api_key|opsgenie_api_key_file) most(victorops_api_key|victorops_api_key_file) most(smtp_auth_password|smtp_auth_password_file) most(telegram_bot_token|telegram_bot_token_file)
route: receiver=text group_by=[text] match={text} match_re={regex} matchers=[text] mute_time_intervals=[text] active_time_intervals=[text]@0.24 continue=bool routes=[route] group_wait=duration group_interval=duration repeat_interval=duration labels={text}
inhibition: name=text source_match={text} source_match_re={regex} source_matchers=[text] target_match={text} target_match_re={regex} target_matchers=[text] equal=[text]
interval: name=text time_intervals=[times]
times: times=[range] weekdays=[text] days_of_month=[text] months=[text] years=[text] location=text
range: start_time=text end_time=text
receiver: name=text labels={text} discord_configs=[discord]@0.25 email_configs=[email] incidentio_configs=[incidentio]@0.29 pagerduty_configs=[pagerduty] slack_configs=[slack] webhook_configs=[webhook] opsgenie_configs=[opsgenie] wechat_configs=[wechat] pushover_configs=[pushover] victorops_configs=[victorops] sns_configs=[sns] telegram_configs=[telegram] webex_configs=[webex]@0.25 msteams_configs=[msteams]@0.26 msteamsv2_configs=[msteamsv2]@0.28 jira_configs=[jira]@0.28 rocketchat_configs=[rocketchat]@0.28 mattermost_configs=[mattermost]@0.30
notifier: send_resolved=bool http_config=http
discord: +notifier webhook_url=url webhook_url_file=text content=text title=text message=text username=text avatar_url=text most(webhook_url|webhook_url_file) least(webhook_url|webhook_url_file)
email: send_resolved=bool to=text from=text hello=text smarthost=text auth_username=text auth_password=text auth_password_file=text auth_secret=text auth_secret_file=text auth_identity=text headers={text} html=text text=text require_tls=bool tls_config=tls force_implicit_tls=bool threading=any most(auth_password|auth_password_file) most(auth_secret|auth_secret_file)
incidentio: +notifier url=url url_file=text alert_source_token=text alert_source_token_file=text max_alerts=int timeout=wait metadata=any@0.35 most(url|url_file) least(url|url_file) most(alert_source_token|alert_source_token_file)
pagerduty: +notifier service_key=text service_key_file=text routing_key=text routing_key_file=text url=url client=text client_url=text description=text details={any} images=[image] links=[link] source=text severity=text class=text component=text group=text timeout=wait most(routing_key|routing_key_file) most(service_key|service_key_file)
image: src=text alt=text href=text
link: href=text text=text
slack: +notifier api_url=url api_url_file=text app_token=text app_token_file=text app_url=url channel=text username=text color=text title=text title_link=text pretext=text text=text message_text=text fields=[slack_field] short_fields=bool footer=text fallback=text callback_id=text icon_emoji=text icon_url=text image_url=text thumb_url=text link_names=bool mrkdwn_in=[text] actions=[slack_action] update_message=bool post_updates_to_thread=bool@0.35 timeout=wait most(api_url|api_url_file) most(app_token|app_token_file)
slack_field: title=text value=text short=bool least(title) least(value)
slack_action: type=text text=text url=text style=text name=text value=text confirm=slack_confirm least(type) least(text) least(name|url)
slack_confirm: text=text title=text ok_text=text dismiss_text=text least(text)
webhook: +notifier url=url url_file=text max_alerts=int timeout=wait payload=any most(url|url_file)
opsgenie: +notifier api_key=text api_key_file=text api_url=url message=text description=text source=text details={text} entity=text responders=[responder] actions=text tags=text note=text priority=text update_alerts=bool most(api_key|api_key_file)
responder: id=text name=text username=text type=text least(id|name|username)
wechat: +notifier api_secret=text api_secret_file=text corp_id=text message=text api_url=url to_user=text to_party=text to_tag=text agent_id=text message_type=text most(api_secret|api_secret_file)
pushover: +notifier user_key=text user_key_file=text token=text token_file=text title=text message=text url=text url_title=text device=text sound=text priority=text retry=wait expire=wait ttl=wait html=bool monospace=bool most(user_key|user_key_file) least(user_key|user_key_file) most(token|token_file) least(token|token_file)
victorops: +notifier api_key=text api_key_file=text api_url=url routing_key=text message_type=text state_message=text entity_display_name=text monitoring_tool=text custom_fields={text} least(routing_key) most(api_key|api_key_file)
sns: +notifier api_url=text sigv4=sigv4 topic_arn=text phone_number=text target_arn=text subject=text message=text attributes={text} use_aws_http_client=bool least(topic_arn|phone_number|target_arn)
telegram: +notifier api_url=url bot_token=text bot_token_file=text chat_id=int chat_id_file=text chat=int message_thread_id=int message=text disable_notifications=bool parse_mode=text timeout=wait@0.35 most(bot_token|bot_token_file) most(chat_id|chat_id_file) least(chat_id|chat_id_file)
webex: +notifier api_url=url message=text room_id=text least(room_id)
msteams: +notifier webhook_url=url webhook_url_file=text title=text summary=text text=text most(webhook_url|webhook_url_file) least(webhook_url|webhook_url_file)
msteamsv2: +notifier webhook_url=url webhook_url_file=text title=text text=text most(webhook_url|webhook_url_file) least(webhook_url|webhook_url_file)
jira: +notifier api_url=url api_type=text project=text summary=any description=any labels=[text] priority=text issue_type=text reopen_transition=text resolve_transition=text wont_fix_resolution=text reopen_duration=duration fields={any} custom_fields={any} least(project) least(issue_type)
rocketchat: +notifier api_url=url token_id=text token_id_file=text token=text token_file=text channel=text color=text title=text title_link=text text=text message_text=text@0.35 fields=[any] short_fields=bool emoji=text icon_url=text image_url=text thumb_url=text link_names=bool actions=[any] most(token|token_file) most(token_id|token_id_file)
mattermost: +notifier webhook_url=url webhook_url_file=text channel=text username=text text=text fallback=text color=text pretext=text author_name=text author_link=text author_icon=text title=text title_link=text fields=[any] thumb_url=text footer=text footer_icon=text image_url=text icon_url=text icon_emoji=text attachments=[any] type=text props=any priority=any most(webhook_url|webhook_url_file)
";
