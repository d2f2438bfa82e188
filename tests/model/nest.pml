/* SPDX-License-Identifier: MIT */
/* Two-level tree G > P > C. fold_into_parent(C) folds into P's departed block; fold_into_parent(P) folds P's own sum AND
   P's departed block into G's. publish(), source_bury() and mend_source() as in fold.pml. Death at any step, also of the
   repair. One reader as in FORMAT.md, one attempt.  Claim: lo <= total <= hi, so never backwards between any two.
   Mutations: M_NOVP M_NOGP M_OWNONLY M_ORPHAN M_NODRAIN M_NOVG
   M_VRESET (a new P starts at version 1) is harmless here: the re-check of P's generation covers it. */
#ifndef OPS
#define OPS 4
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef MAXT
#define MAXT 2
#endif
#define FREE 0
#define LIVE 1
#define DRAIN 2
byte gP = 2, stP = LIVE, fP = 0, oP;  byte vP = 1; byte dP[2];
byte gC = 2, stC = LIVE, fC = 0, oC;
byte vG = 1; byte dG[2];
byte truth, ops = 0, kills = 0; bool up = true, killed = false;
bool hC = false, hP = false;       /* shard held by a thread of the living process */
#define ODD(g) atomic { if :: !(g & 1) -> g++ :: else fi }
inline source_bury(g, st, f) { ODD(g); st = FREE; f = 0; g++ }
proctype Mgr() {
restart:
  {
    if :: up -> skip
    :: else ->
       /* mend_source() */
       if :: (fC != 0 && fC <= vP) || (gC & 1) -> source_bury(gC, stC, fC) :: else -> fC = 0 fi;
       if :: (fP != 0 && fP <= vG) || (gP & 1) -> source_bury(gP, stP, fP) :: else -> fP = 0 fi;
       up = true
    fi;
end:
    do
    :: atomic { ops < OPS && stC != FREE -> ops++; stC = DRAIN };
#ifndef M_NODRAIN
       (!hC);
#endif
       fC = vP + 1; dP[(vP+1)&1] = dP[vP&1] + oC; vP = vP + 1; source_bury(gC, stC, fC)
#ifdef M_ORPHAN
    :: atomic { ops < OPS && stP != FREE -> ops++; stP = DRAIN };
#else
    :: atomic { ops < OPS && stP != FREE && stC == FREE -> ops++; stP = DRAIN };
#endif
       (!hP);
       fP = vG + 1;
#ifdef M_OWNONLY
       dG[(vG+1)&1] = dG[vG&1] + oP;
#else
       dG[(vG+1)&1] = dG[vG&1] + oP + dP[vP&1];
#endif
       vG = vG + 1; source_bury(gP, stP, fP)
    :: atomic { ops < OPS && stP == LIVE && stC == FREE -> ops++; gC++ }; stC = LIVE; oC = 0; gC++
    :: atomic { ops < OPS && stP == FREE -> ops++; gP++ }; stP = LIVE; oP = 0; dP[0] = 0; dP[1] = 0;
#ifdef M_VRESET
       vP = 1;
#endif
       gP++
    od
  } unless { atomic { killed -> killed = false; goto restart } }
}
proctype Env() {         /* the threads (one instruction a count) and the killer; no state of its own */
end:
    do
    :: atomic { up && stC == LIVE && !(gC & 1) && !hC -> hC = true }
    :: atomic { up && hC && truth < MAXT -> oC++; truth++ }
    :: atomic { up && hC -> hC = false }
    :: atomic { up && stP == LIVE && !(gP & 1) && !hP -> hP = true }
    :: atomic { up && hP && truth < MAXT -> oP++; truth++ }
    :: atomic { up && hP -> hP = false }
    :: atomic { kills < KILLS -> kills++; up = false; killed = true; hC = false; hP = false }
    od
}
proctype R() { byte lo, a, x, v, w, g, h, st, f; bool ok = true;
  lo = truth;
  v = vG; a = dG[v&1];
  g = gP;
  if
  :: (g & 1) -> skip
  :: else ->
     st = stP; f = fP;
     if
     :: st != FREE && !(f != 0 && f <= v) ->
        x = oP; w = vP; x = x + dP[w&1];
        h = gC;
        if
        :: (h & 1) -> skip
        :: else -> st = stC; f = fC;
           if
           :: st != FREE && !(f != 0 && f <= w) -> f = oC; atomic { if :: gC != h -> ok = false :: else -> x = x + f fi }
           :: else
           fi
        fi;
#ifndef M_NOVP
        atomic { if :: vP != w -> ok = false :: else fi };
#endif
#ifndef M_NOGP
        atomic { if :: gP != g -> ok = false :: else fi };
#endif
        a = a + x
     :: else
     fi
  fi;
#ifndef M_NOVG
  atomic { if :: vG != v -> ok = false :: else fi };
#endif
  atomic { assert(!ok || a >= lo); assert(!ok || a <= truth); a = 0; x = 0; v = 0; w = 0; g = 0; h = 0; st = 0; f = 0; lo = 0 }
}
init { atomic { run Mgr(); run Env(); run R() } }
