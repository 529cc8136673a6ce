// cAdvisor as a program: its own `cmd` is a module of its own that the Go module proxy does not have, so this wires the
// library up with the flags that stacks set (the library's packages register the others, as --docker_only and
// --housekeeping_interval). It has no web interface and no REST API: /metrics and /healthz only.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/google/cadvisor/cache/memory"
	"github.com/google/cadvisor/container"
	_ "github.com/google/cadvisor/container/docker/install"
	v2 "github.com/google/cadvisor/info/v2"
	"github.com/google/cadvisor/manager"
	"github.com/google/cadvisor/metrics"
	"github.com/google/cadvisor/utils/sysfs"
	"github.com/google/cadvisor/version"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

var (
	listenIP    = flag.String("listen_ip", "", "address to listen on, all when empty")
	port        = flag.Int("port", 8080, "port to listen on")
	endpoint    = flag.String("prometheus_endpoint", "/metrics", "path of the metrics")
	retention   = flag.Duration("storage_duration", 2*time.Minute, "how long to keep samples in memory")
	storeLabels = flag.Bool("store_container_labels", true, "turn container labels into labels of the metrics")
	allowed     = flag.String("whitelisted_container_labels", "", "comma separated container labels to keep when store_container_labels is false")
	envAllowed  = flag.String("env_metadata_whitelist", "", "comma separated environment variables to keep")
	rawAllowed  = flag.String("raw_cgroup_prefix_whitelist", "", "comma separated cgroup prefixes to keep with docker_only")
	showVersion = flag.Bool("version", false, "print the version and exit")

	// As upstream: these kinds are costly or rarely wanted.
	disabled = container.MetricSet{
		container.MemoryNumaMetrics: {}, container.NetworkTcpUsageMetrics: {}, container.NetworkUdpUsageMetrics: {},
		container.NetworkAdvancedTcpUsageMetrics: {}, container.ProcessSchedulerMetrics: {}, container.ProcessMetrics: {},
		container.HugetlbUsageMetrics: {}, container.ReferencedMemoryMetrics: {}, container.CPUTopologyMetrics: {},
		container.ResctrlMetrics: {}, container.CPUSetMetrics: {},
	}
	enabled = container.MetricSet{}
)

func main() {
	flag.Var(&disabled, "disable_metrics", "comma separated kinds of metrics to leave out")
	flag.Var(&enabled, "enable_metrics", "comma separated kinds of metrics to have; overrides disable_metrics")
	klog.InitFlags(nil)
	defer klog.Flush()
	flag.Parse()
	if *showVersion {
		fmt.Printf("cAdvisor version %s\n", version.Version)
		return
	}

	included := enabled
	if len(included) == 0 {
		included = container.AllMetrics.Difference(disabled)
	}
	client := http.Client{Timeout: 10 * time.Second}
	m, err := manager.New(memory.New(*retention, nil), sysfs.NewRealSysFs(), manager.HousekeepingConfigFlags, included,
		&client, strings.Split(*rawAllowed, ","), strings.Split(*envAllowed, ","), "", 0)
	if err != nil {
		klog.Fatalf("creating the manager failed: %v", err)
	}
	if err := m.Start(); err != nil {
		klog.Fatalf("starting the manager failed: %v", err)
	}

	labels := metrics.DefaultContainerLabels
	if !*storeLabels {
		labels = metrics.BaseContainerLabels(strings.Split(*allowed, ","))
	}
	options := v2.RequestOptions{IdType: v2.TypeName, Count: 1, Recursive: true}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		metrics.NewPrometheusCollector(m, labels, included, clock.RealClock{}, options),
		metrics.NewPrometheusMachineCollector(m, included),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		_ = m.Stop()
		os.Exit(0)
	}()

	http.Handle(*endpoint, promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	klog.Fatal(http.ListenAndServe(fmt.Sprintf("%s:%d", *listenIP, *port), nil))
}
