module trow/test/tools/crds

go 1.26.0

// Not programs: the definitions of objects that the chart makes for other people's controllers.
require (
	github.com/cert-manager/cert-manager v1.21.1
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.4.0
)
