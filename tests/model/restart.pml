/* SPDX-License-Identifier: MIT */
/* The writer dies at any step of what it does, also while it repairs, and another takes the segment over: what lib/
   restart.c does. Tree G > P > C; G is the segment itself. Two cells of memory for shards, the second of which the file
   has to grow for; what one life left in a cell, in an entry or in a departed block is still there in the next.
   Steps are named after the functions that make them. A thread of the dead process dies with it. The restarter's host
   adds P and C again (they are adopted) or does not (vmt_segment_ready() folds them).
   One reader, one attempt, before, across or after all that.  Claims: lo <= total of G <= hi, and the same of C within
   one generation, so nothing falls, is lost, or counts twice; no reader is led behind the end of the file; who dies with
   `structure` even leaves nothing to repair.
   Mutations, of the repair: M_NOLOOK (any fold is taken for not committed) M_ALLDONE (... for committed) M_REDO (a
   committed fold is done again) M_FOLDFIRST (fold 0 before the generation
   is odd) M_FREELATE (even before state is free) M_HALFBORN (what is half born is taken for live) M_GENBACK (odd goes
   back to the even one before) M_TWICE (the burial is begun once more: not idempotent) M_TOPDOWN (parents are folded
   before their children) M_ADOPTZERO (who is adopted begins at 0) M_NOCLAIM (memory in use is not claimed) M_CALM
   (structure counts on from where it was: even while repairing)
   and of the writer: M_LINKFIRST (shard linked before it is filled) M_BLOCKFIRST (the same of a departed block)
   M_LATECOMMIT (burying overtakes the commit) M_GROWFIRST (file_bytes before the space is allocated).
   M_CLEARFIRST (source_bury() clears fold before state) is harmless: the repair frees whatever is odd.
   That a fold which was not committed has to be cleared needs a brother who commits that version: fold.pml, M_NOCLEAR. */
#ifndef OPS
#define OPS 4
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef MAXT
#define MAXT 2
#endif
#define FREE 0
#define LIVE 1
#define DRAINING 2
/* The file: entries (generation, state, fold, shards; version and departed as a parent), blocks, header. */
byte gP = 2, stP = LIVE, fP, lP = 1; byte vP = 1; bool depP = true; byte dP[2];
byte gC = 2, stC = LIVE, fC, lC = 0;
byte vG = 1, dG[2];
byte cell[3];
byte size = 1, file_bytes = 1;             /* as the kernel, and as the header says: cells */
bool structure = false;                    /* odd */
/* The living process: its index, handles (adopted), who holds a shard. */
bool own[3]; bool aP = true, aC = true, hP = false, hC = false;
bool up = true, killed = false;
byte ops, kills, truth, tC;                /* tC: of this life of C */

inline source_bury(g, st, f) {
#ifdef M_TWICE
  g++;
#else
  atomic { if :: !(g & 1) -> g++ :: else fi };
#endif
#ifdef M_CLEARFIRST
  f = 0; st = FREE;
#else
  st = FREE; f = 0;
#endif
  g++
}
inline fold_C() {                          /* fold_into_parent(C) */
  fC = vP + 1;
  dP[(vP+1)&1] = dP[vP&1];
  dP[(vP+1)&1] = dP[(vP+1)&1] + (lC -> cell[lC] : 0);
#ifdef M_LATECOMMIT
  gC++;
#endif
  vP = vP + 1
}
inline fold_P() {                          /* fold_into_parent(P) */
  fP = vG + 1;
  dG[(vG+1)&1] = dG[vG&1];
  dG[(vG+1)&1] = dG[(vG+1)&1] + (lP -> cell[lP] : 0) + (depP -> dP[vP&1] : 0);
#ifdef M_LATECOMMIT
  gP++;
#endif
  vG = vG + 1
}
inline space_alloc() {
  if
  :: !own[1] -> j = 1
  :: own[1] && file_bytes >= 2 -> j = 2
  :: own[1] && file_bytes < 2 ->           /* space_grow() */
#ifdef M_GROWFIRST
     file_bytes = 2; size = 2;
#else
     size = 2; file_bytes = 2;
#endif
     j = 2
  fi
}
inline shard_new(l) {
  space_alloc();
  structure = true;
#ifdef M_LINKFIRST
  l = j; cell[j] = 0;
#else
  cell[j] = 0; l = j;
#endif
  atomic { structure = false; own[j] = true; j = 0 }
}
inline departed_make_P() {
  if
  :: !depP ->
     structure = true;
#ifdef M_BLOCKFIRST
     depP = true; dP[0] = 0; dP[1] = 0;
#else
     dP[0] = 0; dP[1] = 0; depP = true;
#endif
     structure = false
  :: else
  fi
}
#ifdef M_NOLOOK
#define COMMITTED(f,v) false
#elif defined(M_ALLDONE)
#define COMMITTED(f,v) (f != 0)
#else
#define COMMITTED(f,v) (f != 0 && f <= v)
#endif
#ifdef M_NOCLAIM
#define CLAIM(j) skip
#else
#define CLAIM(j) own[j] = true
#endif
/* mend_source() */
inline mend_source(g, st, f, done) {
  if
  :: done || (g & 1) ->
#ifdef M_FOLDFIRST
     f = 0;
#endif
     if
     :: done -> source_bury(g, st, f)
     :: else ->
#ifdef M_HALFBORN
        g++
#elif defined(M_GENBACK)
        st = FREE; g--
#elif defined(M_FREELATE)
        g++; st = FREE
#else
        source_bury(g, st, f)
#endif
     fi
  :: else -> f = 0
  fi
}
proctype Writer() { byte j; bool rP, rC;
restart:
  {
    if
    :: up -> skip
    :: else ->
       /* A new incarnation. Entries in any order. */
#ifdef M_CALM
       structure = !structure;
#else
       structure = true;
#endif
       atomic { rP = false; rC = false; own[1] = false; own[2] = false };
       do
       :: !rP ->
#ifdef M_REDO
          if :: COMMITTED(fP, vG) -> fold_P() :: else fi;
#endif
          mend_source(gP, stP, fP, COMMITTED(fP, vG));
          atomic { rP = true; if :: stP != FREE && lP -> CLAIM(lP) :: else fi }
       :: !rC ->
#ifdef M_REDO
          if :: COMMITTED(fC, vP) -> fold_C() :: else fi;
#endif
          mend_source(gC, stC, fC, COMMITTED(fC, vP));
          atomic { rC = true; if :: stC != FREE && lC -> CLAIM(lC) :: else fi }
       :: rP && rC -> break
       od;
       atomic { rP = false; rC = false; structure = false; up = true }
    fi;
end:
    do
    /* vmt_source_remove(), or vmt_segment_ready() of what nobody added again */
    :: atomic { stC == LIVE && aC && ops < OPS -> ops++; structure = true }; stC = DRAINING; structure = false
    :: atomic { stP == LIVE && aP && ops < OPS -> ops++; structure = true }; stP = DRAINING; structure = false
    :: atomic { stC == LIVE && !aC -> structure = true }; stC = DRAINING; structure = false
    :: atomic { stP == LIVE && !aP -> structure = true }; stP = DRAINING; structure = false
    /* source_try_finish() */
    :: atomic { stC == DRAINING && !hC -> structure = true };
       fold_C(); source_bury(gC, stC, fC); atomic { own[lC] = false; structure = false }
#ifdef M_TOPDOWN
    :: atomic { stP == DRAINING && !hP -> structure = true };
#else
    :: atomic { stP == DRAINING && !hP && stC == FREE -> structure = true };
#endif
       fold_P(); source_bury(gP, stP, fP); atomic { own[lP] = false; structure = false }
    /* vmt_source_add(): publish(), or what is there already is adopted */
    :: atomic { stC == FREE && stP == LIVE && aP && ops < OPS -> ops++ };
       departed_make_P();
       structure = true;
       atomic { gC++; tC = 0 }; stC = LIVE; lC = 0; atomic { gC++; aC = true }; structure = false
    :: atomic { stP == FREE && ops < OPS -> ops++; structure = true };
       gP++; stP = LIVE; lP = 0; depP = false; atomic { gP++; aP = true }; structure = false
    :: atomic { stP == LIVE && !aP -> aP = true }
    :: atomic { stC == LIVE && !aC && aP -> aC = true;
#ifdef M_ADOPTZERO
         if :: lC -> cell[lC] = 0 :: else fi
#endif
       }
    /* vmt_shard_acquire() where none is idle */
    :: atomic { stC == LIVE && aC && !lC -> j = 0 }; shard_new(lC)
    :: atomic { stP == LIVE && aP && !lP -> j = 0 }; shard_new(lP)
    od
  } unless { atomic { killed -> killed = false; j = 0; rP = false; rC = false; goto restart } }
}
#define CALM (!(gP & 1) && !(gC & 1) && fP == 0 && fC == 0)
proctype Env() {         /* the threads (one instruction a count) and the killer */
end:
    do
    :: atomic { up && aC && stC == LIVE && !(gC & 1) && lC && !hC -> hC = true }
    :: atomic { hC && truth < MAXT -> cell[lC]++; truth++; tC++ }
    :: atomic { hC -> hC = false }
    :: atomic { up && aP && stP == LIVE && !(gP & 1) && lP && !hP -> hP = true }
    :: atomic { hP && truth < MAXT -> cell[lP]++; truth++ }
    :: atomic { hP -> hP = false }
    :: atomic { kills < KILLS && !killed -> kills++; up = false; killed = true;
         hC = false; hP = false; aC = false; aP = false;
         assert(structure || CALM) }
    od
}
proctype R() { byte lo, lc, a, x, y, v, w, g, h, st, f, l; bool ok = true;
  lo = truth;
  v = vG; a = dG[v&1];
  g = gP;
  if
  :: (g & 1) -> skip
  :: else ->
     st = stP; f = fP; l = lP;
     if
     :: st != FREE && !(f != 0 && f <= v) ->
        atomic { if :: l -> assert(l <= size); x = cell[l] :: else fi; l = 0 };
        w = vP;
        if :: depP -> x = x + dP[w&1] :: else fi;
        atomic { h = gC; lc = tC };
        if
        :: (h & 1) -> skip
        :: else ->
           st = stC; f = fC; l = lC;
           if
           :: st != FREE ->
              atomic { if :: l -> assert(l <= size); y = cell[l] :: else fi; l = 0 };
              atomic {
                if
                :: gC != h -> ok = false
                :: else ->
                   assert(y >= lc && y <= tC);
                   if :: !(f != 0 && f <= w) -> x = x + y :: else fi
                fi; y = 0; lc = 0; h = 0; f = 0; st = 0 }
           :: else
           fi
        fi;
        atomic { if :: vP != w -> ok = false :: else fi };
        atomic { if :: gP != g -> ok = false :: else fi; a = a + x }
     :: else
     fi
  fi;
  atomic { if :: vG != v -> ok = false :: else fi };
  atomic { assert(!ok || (a >= lo && a <= truth));
    a = 0; x = 0; y = 0; v = 0; w = 0; g = 0; h = 0; st = 0; f = 0; l = 0; lo = 0; lc = 0 }
}
init { atomic { own[1] = true; run Writer(); run Env(); run R() } }
