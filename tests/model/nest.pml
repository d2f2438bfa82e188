/* SPDX-License-Identifier: MIT */
/* Two-level tree G > P > C. Removing C folds into P's departed block; removing P folds P's own sum AND P's departed block into G's.
   Death at any step, restart (also during recovery). One reader, one attempt: lo <= total <= hi, which gives "never backwards" between any two.
   Mutations: M_NOVP M_NOGP M_OWNONLY M_ORPHAN M_NODRAIN M_NOVG M_FOLDFIRST (fold is 0 before state is FREE)
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
#define EVEN(g) atomic { if :: (g & 1) -> g++ :: else fi }
#ifdef M_FOLDFIRST
inline freeC() { ODD(gC); fC = 0; stC = FREE; gC++ }
#else
inline freeC() { ODD(gC); stC = FREE; fC = 0; gC++ }
#endif
inline freeP() { ODD(gP); stP = FREE; fP = 0; gP++ }
proctype Mgr() {
restart:
  {
    if :: up -> skip
    :: else ->
       if :: fC != 0 && fC <= vP -> freeC() :: else -> fC = 0; EVEN(gC) fi;
       if :: fP != 0 && fP <= vG -> freeP() :: else -> fP = 0; EVEN(gP) fi;
       up = true
    fi;
end:
    do
    :: atomic { ops < OPS && stC != FREE -> ops++; stC = DRAIN };
#ifndef M_NODRAIN
       (!hC);
#endif
       fC = vP + 1; dP[(vP+1)&1] = dP[vP&1] + oC; vP = vP + 1; freeC()
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
       vG = vG + 1; freeP()
    :: atomic { ops < OPS && stP == LIVE && stC == FREE -> ops++; gC++ }; oC = 0; stC = LIVE; gC++
    :: atomic { ops < OPS && stP == FREE -> ops++; gP++ }; oP = 0; dP[0] = 0; dP[1] = 0;
#ifdef M_VRESET
       vP = 1;
#endif
       stP = LIVE; gP++
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
