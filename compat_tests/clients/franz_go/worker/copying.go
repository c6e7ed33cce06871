package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Copying is a copier: franz-go has a session for it, one client that consumes and produces.
type Copying struct {
	session *kgo.GroupTransactSession
	target  string
	failed  error
}

func newCopying(bootstrap string, settings Settings) (*Copying, error) {
	session, err := kgo.NewGroupTransactSession(append(connecting(bootstrap),
		kgo.TransactionalID(*settings.TransactionalID),
		kgo.TransactionTimeout(time.Duration(settings.Timeout*float64(time.Second))),
		kgo.ConsumerGroup(*settings.Group),
		kgo.ConsumeTopics(settings.Source),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.SessionTimeout(time.Duration(settings.SessionTimeout*float64(time.Second))),
		kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.RequireStableFetchOffsets(),
		kgo.RecordPartitioner(chosen{kgo.StickyKeyPartitioner(nil)}),
	)...)
	if err != nil {
		return nil, err
	}
	limit, cancel := soon()
	defer cancel()
	// Its first transaction would do the same, but a copier takes hold of its id when it starts.
	if _, _, err := session.Client().ProducerID(limit); err != nil {
		session.CloseAllowingRebalance()
		return nil, err
	}
	return &Copying{session: session, target: settings.Target}, nil
}

// Call performs one method.
func (copying *Copying) Call(method string, request *Request) (any, error) {
	if method != "copy" {
		return nil, fmt.Errorf("no method %s", method)
	}
	return copying.copy(request.Within, request.Commit)
}

func (copying *Copying) copy(within float64, commit bool) (int, error) {
	limit, cancel := context.WithTimeout(context.Background(), time.Duration(within*float64(time.Second)))
	defer cancel()
	fetches := copying.session.PollRecords(limit, 1000)
	for _, failed := range fetches.Errors() {
		if !passes(failed.Err) {
			return 0, failed.Err
		}
	}
	records := fetches.Records()
	if len(records) == 0 {
		return 0, nil
	}
	if err := copying.session.Begin(); err != nil {
		return 0, err
	}
	var failed kgo.FirstErrPromise
	for _, each := range records {
		copying.session.Produce(context.Background(), &kgo.Record{
			Topic: copying.target, Partition: each.Partition, Key: each.Key, Value: each.Value, Headers: each.Headers,
		}, failed.Promise())
	}
	patient, done := soon()
	defer done()
	if err := copying.session.Client().Flush(patient); err != nil {
		return 0, err
	}
	sent := failed.Err()
	committed, err := copying.session.End(patient, kgo.TransactionEndTry(commit && sent == nil))
	if err := errors.Join(sent, err); err != nil {
		return 0, err
	}
	if commit && !committed {
		// The group has rebalanced, so the session has aborted, and begins again at what is committed.
		return 0, kerr.RebalanceInProgress
	}
	return len(records), nil
}

// Close leaves the group and lets go of everything.
func (copying *Copying) Close() {
	copying.session.CloseAllowingRebalance()
}
