# The local cluster alone. To be included by the Makefile at the top.
.PHONY: cluster cluster-down
cluster: ## the cluster that KUBECONFIG names, or else a local one
	@e2e/cluster/up

cluster-down: ## end the local cluster and leave nothing behind
	@e2e/cluster/down
