// Package hold keeps rollouts off a workload, or off a node, until somebody lifts the hold.
//
// Owns: what the annotation or label skerry.io/hold means; pausing held Deployments and letting them go on; which deletions of pods
// are a rollout's, and their refusal; the label that says since when a pod is held, and Events.
// Does not know: how rollouts are made: Kubernetes' own controllers make them, and try again.
// Promises: a template that changes under a hold is stored and replaces no pod, from the same write on; scaling, failed pods, evictions and
// whatever a person deletes go on as ever; a Deployment that its user has paused stays paused when a hold is lifted; a hold that
// is lifted sets off at once what it held up.
// Start reading at Held, then Hold.Admit, replaces and Hold.Run.
package hold
