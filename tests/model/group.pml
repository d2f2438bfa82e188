/* SPDX-License-Identifier: MIT */
/* Groups: vmt_begin() and vmt_end(), also in signal handlers within a group; a shard that changes hands by release, by
   the death of its thread, or because the thread was cancelled in a group and another releases the shard; one reader.
   A group adds 1 to count and 1 to sum. Each add is one instruction for its own CPU (a handler cannot split it), two
   accesses for the other CPUs.
   Claims: confirmed -> count == sum, unless torn > 0; no value goes backwards; a shard that nobody holds is confirmed.
   Mutations: M_SEQ (one counter, ++ at begin and end) M_SEQOR (begin: s=seq;seq=s|1 end: outermost writes s+2)
   M_RORDER (reader takes begun before ended) M_TORNFIRST (reader takes torn before ended) M_WEAK (begun store may reach
   memory after the first value) M_STEAL (takeover without proof that the owner is gone) M_SPLIT (add is load;store, a
   handler may split it) M_REPAIR (mend_group() sets ended=begun without torn) M_REPORDER (... before torn) M_NOMEND
   (release does not mend) */
#ifndef NH
#define NH 2           /* handler runs */
#endif
byte begun, ended, count, sum, torn;      /* the shard */
byte owner = 1;                           /* 1 A, 2 B, 0 idle, 3 = A is gone (kernel said so), 4 = A was cancelled */
bool dead = false; bool inH = false; bool aRun = true;
#define A_CAN (!inH)

#ifdef M_SPLIT
#define ADD_A(x,t)  atomic { A_CAN -> t = x }; atomic { A_CAN -> x = t + 1 }
#else
#define ADD_A(x,t)  atomic { A_CAN -> t = x; lockA = true }; atomic { x = t + 1; lockA = false }
#endif
bool lockA = false;                       /* A is inside one instruction: no handler can start */
#define ADD_O(x,t)  t = x; x = t + 1

proctype A() { byte t, n = 0, s;
  {
  do
  :: n < 2 ->
     n++;
     /* vmt_begin() */
#ifdef M_SEQ
     ADD_A(begun,t);
#elif defined(M_SEQOR)
     atomic { A_CAN -> s = begun }; atomic { A_CAN -> begun = s | 1 };
#else
#ifdef M_WEAK
     if
     :: ADD_A(begun,t); ADD_A(count,t); 
     :: ADD_A(count,t); ADD_A(begun,t);      /* no store-store barrier */
     fi; goto w;
#else
     ADD_A(begun,t);
#endif
#endif
     ADD_A(count,t);
w:   ADD_A(sum,t);
     /* vmt_end() */
#ifdef M_SEQ
     ADD_A(begun,t);
#elif defined(M_SEQOR)
     if :: atomic { A_CAN && !(s & 1) -> begun = s + 2 } :: atomic { A_CAN && (s & 1) -> skip } fi;
#else
     ADD_A(ended,t);
#endif
     t = 0
  :: atomic { A_CAN -> break }
  od;
  atomic { A_CAN -> aRun = false; owner = 0 }        /* vmt_shard_release() by the owner itself, outside any group */
  } unless { atomic { dead -> aRun = false; lockA = false; t = 0; n = 0; s = 0 } }
}
proctype H() { byte t, k = 0, s;
  {
  do
  :: k < NH -> 
     if :: atomic { aRun && !inH && !lockA -> inH = true; k++ } :: atomic { !aRun -> break } fi;
#ifdef M_SEQ
     ADD_O(begun,t);
#elif defined(M_SEQOR)
     s = begun; begun = s | 1;
#else
     ADD_O(begun,t);
#endif
     ADD_O(count,t); ADD_O(sum,t);
#ifdef M_SEQ
     ADD_O(begun,t);
#elif defined(M_SEQOR)
     if :: !(s & 1) -> begun = s + 2 :: else fi;
#else
     ADD_O(ended,t);
#endif
     atomic { inH = false; t = 0; s = 0 }
  :: break
  od
  } unless { atomic { dead -> inH = false; t = 0; k = 0; s = 0 } }
}
/* At any instruction, also of the handler. */
proctype End() {
  if
  :: atomic { owner == 1 -> owner = 3; dead = true }
  :: atomic { owner == 1 -> owner = 4; dead = true }
  :: skip
  fi
}
inline mend_group() {
#if defined(M_SEQ) || defined(M_SEQOR)
  if :: (begun & 1) -> torn = torn + 1; begun = begun + 1 :: else fi
#else
  if
  :: begun != ended ->
#ifdef M_REPORDER
     ended = begun; torn = torn + 1
#else
#ifndef M_REPAIR
     torn = torn + 1;
#endif
     ended = begun
#endif
  :: else
  fi
#endif
}
/* All under the segment's mutex, so one process. */
proctype B() { byte t, n = 0;
  if
  :: owner == 0 -> skip
  :: owner == 3 -> mend_group(); owner = 0              /* shard_reap_dead_owners(), make_idle() */
  :: owner == 4 ->                                      /* vmt_shard_release() of A's shard by another thread, make_idle() */
#ifndef M_NOMEND
     mend_group();
#endif
     owner = 0
#ifdef M_STEAL
  :: owner == 1 -> skip
#endif
  :: goto done
  fi;
#if !defined(M_SEQ) && !defined(M_SEQOR) && !defined(M_STEAL)
  assert(begun == ended);
#endif
  owner = 2;                                            /* take() */
  do
  :: n < 1 -> n++;
     ADD_O(begun,t); ADD_O(count,t); ADD_O(sum,t);
#if defined(M_SEQ) || defined(M_SEQOR)
     ADD_O(begun,t);
#else
     ADD_O(ended,t);
#endif
  :: break
  od;
done: skip
}
/* add_mapped(); add_copied() takes torn again with begun */
proctype R() { byte e, b, c, s, tn, lc, ls, k = 0;
  do
  :: k < 2 -> k++;
#ifdef M_TORNFIRST
     tn = torn;
#endif
#if defined(M_SEQ) || defined(M_SEQOR)
     e = begun;
#elif defined(M_RORDER)
     e = begun;
#else
     e = ended;
#endif
#ifdef M_TORNFIRST
     c = count; s = sum;
#else
     if
     :: tn = torn; c = count; s = sum                   /* add_mapped() */
     :: c = count; s = sum; tn = torn                   /* add_copied() */
     fi;
#endif
#ifdef M_RORDER
     b = ended;
#else
     b = begun;
#endif
     atomic {
#if defined(M_SEQ) || defined(M_SEQOR)
       assert(!(e == b && !(e & 1)) || tn > 0 || c == s);
#else
       assert(e != b || tn > 0 || c == s);
#endif
       assert(c >= lc && s >= ls); lc = c; ls = s; e = 0; b = 0; tn = 0; c = 0; s = 0
     }
  :: else -> break
  od
}
init { atomic { run A(); run H(); run B(); run End(); run R() } }
