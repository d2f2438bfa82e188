/* SPDX-License-Identifier: MIT */
/* The reader of lib/walk.c: passes over the whole table, in which a subtotal that is done stays. Tree G > P > C; the
   entry of C may come again below G instead. G is the segment: never removed. One reader, PASSES passes at most, also
   more of them than this tree needs: there may be other sources.  Claim: lo <= total of G <= hi when all is done.
   Writer's steps as in nest.pml (its death is its standing still; restart is modelled there).
   Mutations: M_DROP (a child is dropped when its parent has departed since, though the parent's subtotal stays)
   M_STALE (done outlives the generation it was for) M_NODROP (children stay when their parent is read again)
   M_REPLACE (a later incarnation takes the place of one that is part of a subtotal that stays) M_NOPGEN (a child is
   counted below any incarnation of its parent) M_NOGEN M_NOVER (no second look) M_NOFOLD (fold is not looked at) */
#ifndef OPS
#define OPS 4
#endif
#ifndef MAXT
#define MAXT 2
#endif
#ifndef PASSES
#define PASSES 2
#endif
#define FREE 0
#define LIVE 1
byte vG = 1, dG[2];
byte gP = 2, stP = LIVE, fP, oP, vP = 1, dP[2];
byte gC = 2, stC = LIVE, fC, oC;
bool upC = true; byte pgC = 2;            /* C's parent is P (else G), of this generation (of G: 0) */
byte truth, ops;
proctype Mgr() {
end:
  do
  :: atomic { ops < OPS && stC == LIVE -> ops++ };
     if
     :: upC -> fC = vP + 1; dP[(vP+1)&1] = dP[vP&1] + oC; vP = vP + 1
     :: else -> fC = vG + 1; dG[(vG+1)&1] = dG[vG&1] + oC; vG = vG + 1
     fi;
     gC++; stC = FREE; fC = 0; gC++
  :: atomic { ops < OPS && stP == LIVE && !(stC == LIVE && upC) -> ops++ };
     fP = vG + 1; dG[(vG+1)&1] = dG[vG&1] + oP + dP[vP&1]; vG = vG + 1;
     gP++; stP = FREE; fP = 0; gP++
  :: atomic { ops < OPS && stC == FREE && stP == LIVE -> ops++; gC++ };
     atomic { oC = 0; upC = true; pgC = gP }; stC = LIVE; gC++
  :: atomic { ops < OPS && stC == FREE -> ops++; gC++ };
     atomic { oC = 0; upC = false; pgC = 0 }; stC = LIVE; gC++
  :: atomic { ops < OPS && stP == FREE -> ops++; gP++ };
     atomic { oP = 0; dP[0] = 0; dP[1] = 0 }; stP = LIVE; gP++
  od
}
proctype Env() {
end:
  do
  :: atomic { stC == LIVE && !(gC & 1) && fC == 0 && truth < MAXT -> oC++; truth++ }
  :: atomic { stP == LIVE && !(gP & 1) && fP == 0 && truth < MAXT -> oP++; truth++ }
  od
}

/* the nodes: seen, done, what was read; r.. in this pass */
bool sP, sC, kG, kP, rP, rC, qG, qP; byte mP, mC, mdP, mdG, ngP, ngC, npgC; bool nupC;
#define AGAIN_P (!kP || ngP != g0P)        /* P as a parent is to be read, as of the first look */
#ifdef M_DROP
#define STANDS_C (nupC -> !AGAIN_P : kG)
#else
#define STANDS_C (nupC -> (kP && ngP == npgC) : kG)
#endif
#define SAME(g,tg) (!(g & 1) && tg == g)
#ifdef M_NOFOLD
#define FOLDED(v) false
#else
#define FOLDED(v) (f != 0 && f <= v)
#endif
#ifdef M_REPLACE
#define TAKEN_C true
#else
#define TAKEN_C (!sC)
#endif
proctype R() { byte lo, v0G, v0P, g0P, g0C, tgP, tgC, t, f, tpg; bool tup; byte pass;
  lo = truth;
  do
  :: pass < PASSES ->
     pass++;
     v0G = vG;
     if
     :: v0P = vP; g0P = gP; g0C = gC
     :: g0C = gC; v0P = vP; g0P = gP
     fi;
     /* choose */
     atomic {
       rP = false; rC = false; qG = false; qP = false;
       if :: sP && !kP && g0P != ngP -> sP = false; kG = false :: else fi;
#ifndef M_NODROP
       if :: sC && !STANDS_C -> sC = false :: else fi;
       if :: sP && !kG -> sP = false :: else fi;
#endif
     };
     /* the copied entries */
     tgP = gP; t = stP; f = fP;
     atomic { if :: SAME(g0P,tgP) && t == LIVE && !kG && !sP && !FOLDED(v0G) -> rP = true :: else fi; t = 0; f = 0 };
     tgC = gC; t = stC; f = fC;
     atomic { tup = upC; tpg = pgC;
       if
       :: tup && SAME(g0C,tgC) && t == LIVE && tpg == g0P && AGAIN_P && TAKEN_C && !FOLDED(v0P) -> rC = true
       :: !tup && SAME(g0C,tgC) && t == LIVE && !kG && TAKEN_C && !FOLDED(v0G) -> rC = true
       :: else
       fi; t = 0; f = 0 };
     /* the children's values */
     if
     :: atomic { rP -> mP = oP; sP = true;
#ifndef M_STALE
          if :: ngP != tgP -> kP = false :: else fi;
#endif
          ngP = tgP }
     :: else
     fi;
     if
     :: atomic { rC -> mC = oC; sC = true; ngC = tgC; nupC = tup; npgC = tpg }
     :: else
     fi;
     /* what departed */
     if :: atomic { !kG -> qG = true; mdG = dG[v0G&1] } :: else fi;
     if :: atomic { sP && tgP == ngP && AGAIN_P -> qP = true; mdP = dP[v0P&1] } :: else fi;
     /* second look, in one step each with what is made of it */
#ifndef M_NOGEN
     atomic { if :: rC && gC != ngC -> sC = false; if :: nupC -> qP = false :: else -> qG = false fi :: else fi };
     atomic { if :: gP != ngP -> qP = false; if :: rP -> sP = false; qG = false :: else fi :: else fi };
#endif
#ifndef M_NOVER
     atomic { if :: vP != v0P -> qP = false :: else fi };
     atomic { if :: vG != v0G -> qG = false :: else fi };
#endif
     atomic {
       if :: qG = false :: true fi;        /* another child of G, or of P, departed */
       if :: qP = false :: true fi;
       kG = kG || qG; kP = kP || qP;
       rP = false; rC = false; qG = false; qP = false; v0G = 0; v0P = 0; g0P = 0; g0C = 0; tgP = 0; tgC = 0; tup = false;
       tpg = 0 };
     if
     :: kG && (!sP || kP) -> break
     :: true
     fi
  :: else -> break
  od;
  atomic {
    if
    :: kG && (!sP || kP) ->
       t = mdG;
       if :: sP -> t = t + mP + mdP :: else fi;
       if
#ifdef M_NOPGEN
       :: sC && nupC && sP -> t = t + mC
#else
       :: sC && nupC && sP && npgC == ngP -> t = t + mC
#endif
       :: sC && !nupC -> t = t + mC
       :: else
       fi;
       assert(t >= lo && t <= truth)
    :: else
    fi;
    t = 0; lo = 0; pass = 0; mP = 0; mC = 0; mdP = 0; mdG = 0 }
}
init { atomic { run Mgr(); run Env(); run R() } }
