/* SPDX-License-Identifier: MIT */
/* Two sources under one parent; entries and shard memory are re-used (also crosswise); two slots, so that a half-done
   fold shows. The steps of publish() (source.c), source_remove(), fold_into_parent(), source_bury() (removal.c) and
   mend_source() (restart.c; more of it in restart.pml). Death at any step, also of the repair. One reader as in FORMAT.md,
   one attempt.  Claim: lo <= sum <= hi, so never backwards.
   Mutations: M_DESIGN (the first sketch: generation odd, fold in place, even; reader checks entry generations)
   M_INPLACE (as M_DESIGN plus version re-check) M_NOVER M_NOGEN M_NODRAIN M_FOLDLATE (fold is set after the commit)
   M_LATECOMMIT (burying overtakes the commit) M_NORECOVER (nothing is repaired) M_NOCLEAR (a fold that was not committed
   stays) M_KEEPSTATE (what is odd is made even, but not free) and, with it only, M_CLEARFIRST (fold is 0 before state is
   free): as built the repair frees whatever is odd, and that order does not matter. */
#ifndef OPS
#define OPS 4
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef MAXA
#define MAXA 2
#endif
#ifndef MAXB
#define MAXB 1
#endif
#define NE 2
#define FREE 0
#define LIVE 1
#define DRAIN 2
typedef Ent { byte gen; byte st; byte fold; byte sh };
typedef V { byte x[2] };
Ent E[NE]; V S[2]; V D[2]; byte dver = 1;
bool held[2];                                  /* shard j held by a thread */
byte truth[2], ops = 0, kills = 0; bool up = true, killed = false;
#define used(j) ((E[0].st != FREE && E[0].sh == j) || (E[1].st != FREE && E[1].sh == j))
inline source_bury(i) {
  atomic { if :: !(E[i].gen & 1) -> E[i].gen++ :: else fi };
#ifdef M_CLEARFIRST
  E[i].fold = 0; E[i].st = FREE;
#else
  E[i].st = FREE; E[i].fold = 0;
#endif
  E[i].gen++
}
inline fold_into_parent(i) {
#if defined(M_DESIGN) || defined(M_INPLACE)
#ifdef M_DESIGN
  E[i].gen++;
#endif
  E[i].fold = dver + 1;
  D[0].x[0] = D[0].x[0] + S[E[i].sh].x[0];
  D[0].x[1] = D[0].x[1] + S[E[i].sh].x[1];
  dver = dver + 1;
#else
#ifndef M_FOLDLATE
  E[i].fold = dver + 1;
#endif
  D[(dver+1)&1].x[0] = D[dver&1].x[0] + S[E[i].sh].x[0];
  D[(dver+1)&1].x[1] = D[dver&1].x[1] + S[E[i].sh].x[1];
#ifdef M_LATECOMMIT     /* no release fence after the commit: burying overtakes it */
  atomic { if :: !(E[i].gen & 1) -> E[i].gen++ :: else fi };
#endif
  dver = dver + 1;                             /* the commit */
#endif
#ifdef M_FOLDLATE
  E[i].fold = dver;
#endif
}
proctype Mgr() { byte i, j;
restart:
  {
    if :: up -> skip
    :: else ->
#ifndef M_NORECOVER
       i = 0;
       do
       :: i < NE ->
          if                                   /* mend_source() */
          :: E[i].fold != 0 && E[i].fold <= dver -> source_bury(i)
#ifdef M_KEEPSTATE
          :: else -> E[i].fold = 0; atomic { if :: (E[i].gen & 1) -> E[i].gen++ :: else fi }
#else
          :: !(E[i].fold != 0 && E[i].fold <= dver) && (E[i].gen & 1) -> source_bury(i)
#ifdef M_NOCLEAR
          :: else
#else
          :: else -> E[i].fold = 0
#endif
#endif
          fi;
          i++
       :: else -> break
       od; i = 0;
#endif
       up = true
    fi;
end:
    do
    :: atomic { ops < OPS && E[0].st == FREE -> i = 0; ops++ }; goto add
    :: atomic { ops < OPS && E[1].st == FREE -> i = 1; ops++ };
add:   atomic { if :: !used(0) -> j = 0 :: !used(1) -> j = 1 fi; E[i].gen++ };
       /* publish() */
       E[i].st = LIVE; E[i].sh = j; S[j].x[0] = 0; S[j].x[1] = 0; atomic { E[i].gen++; i = 0; j = 0 }
    /* source_remove(), source_try_finish() */
    :: atomic { ops < OPS && E[0].st != FREE -> i = 0; ops++; E[0].st = DRAIN }; goto del
    :: atomic { ops < OPS && E[1].st != FREE -> i = 1; ops++; E[1].st = DRAIN };
del:   
#ifndef M_NODRAIN
       (!held[E[i].sh]);
#endif
       fold_into_parent(i);
       source_bury(i);
       i = 0
    od
  } unless { atomic { killed -> killed = false; i = 0; j = 0; goto restart } }
}
#define CAN(e) (up && E[e].st == LIVE && !(E[e].gen & 1) && !held[E[e].sh])
proctype Env() {
end:
    do
    :: atomic { CAN(0) -> held[E[0].sh] = true }
    :: atomic { CAN(1) -> held[E[1].sh] = true }
    :: atomic { up && held[0] && truth[0] < MAXA -> S[0].x[0]++; truth[0]++ }
    :: atomic { up && held[1] && truth[0] < MAXA -> S[1].x[0]++; truth[0]++ }
    :: atomic { up && held[0] && truth[1] < MAXB -> S[0].x[1]++; truth[1]++ }
    :: atomic { up && held[1] && truth[1] < MAXB -> S[1].x[1]++; truth[1]++ }
    :: atomic { held[0] -> held[0] = false }
    :: atomic { held[1] -> held[1] = false }
    :: atomic { kills < KILLS -> kills++; up = false; killed = true; held[0] = false; held[1] = false }
    od
}
proctype R() { byte lo0, lo1, a0, a1, b0, b1, i, v, g, st, sh, f; bool ok = true;
  atomic { lo0 = truth[0]; lo1 = truth[1] };
  v = dver;
#if defined(M_DESIGN) || defined(M_INPLACE)
  a0 = D[0].x[0]; a1 = D[0].x[1];
#else
  a0 = D[v&1].x[0]; a1 = D[v&1].x[1];
#endif
  do
  :: i < NE && ok ->
     g = E[i].gen;
     if
     :: (g & 1) ->
#ifdef M_DESIGN
        ok = false
#else
        skip                          /* being born or buried: counts nothing as of v */
#endif
     :: else ->
        st = E[i].st; sh = E[i].sh; f = E[i].fold;
        if
        :: st != FREE && !(f != 0 && f <= v) ->
           b0 = S[sh].x[0]; b1 = S[sh].x[1];
#ifndef M_NOGEN
           atomic { if :: E[i].gen != g -> ok = false :: else -> a0 = a0 + b0; a1 = a1 + b1 fi }
#else
           atomic { a0 = a0 + b0; a1 = a1 + b1 }
#endif
        :: else
        fi
     fi;
     atomic { i++; g = 0; st = 0; sh = 0; f = 0; b0 = 0; b1 = 0 }
  :: else -> break
  od;
#if !defined(M_NOVER) && !defined(M_DESIGN)
  atomic { if :: dver != v -> ok = false :: else fi };
#endif
  atomic {
     assert(!ok || (a0 >= lo0 && a1 >= lo1));
     assert(!ok || (a0 <= truth[0] && a1 <= truth[1]));
     a0 = 0; a1 = 0; lo0 = 0; lo1 = 0; v = 0; i = 0 }
}
init { atomic { E[0].gen = 2; E[1].gen = 2; E[0].st = LIVE; run Mgr(); run Env(); run R() } }
